"""Runs and models in MLflow: an embedded store of this module's own, and servers that don't answer."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from profilelake.config import Config
from profilelake.errors import ConfigError, LakeLocked
from profilelake.training import crossval, models, tracking
from profilelake.training.tracking import FAILED, FINISHED, KILLED, LAKE_RUN, Place, TrackedRun, Tracker, TrackingError

PLAN = crossval.Plan(5, 20, 1.0, "scale", False, 0, 600, 10, seed=1)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder = tmp_path_factory.mktemp("tracking") / "lake_mlflow"
    return tracking.connect(Place(f"sqlite:///{folder / 'mlflow.db'}", folder), "tests")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def status(tracker: Tracker, digest: str) -> str:
    found = tracker.last(digest)
    assert found is not None
    return found.status


# -- where


def test_the_configuration_wins_then_the_environment_then_a_file_beside_the_lake(
    make_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(tracking.URI, raising=False)
    folder = tmp_path / "lake_mlflow"
    found = tracking.place(make_config())
    assert found == Place(f"sqlite:///{folder / 'mlflow.db'}", folder)
    assert not found.exists
    assert tracking.place(make_config(f"lake.path=file://{tmp_path}/lake/")) == found
    assert not folder.exists()
    monkeypatch.setenv(tracking.URI, "http://there")
    assert tracking.place(make_config()) == Place("http://there")
    assert tracking.place(make_config("mlflow.tracking_uri=http://here")) == Place("http://here")
    assert tracking.place(make_config("mlflow.tracking_uri=http://here")).exists


@pytest.mark.parametrize("path", ["null", "s3://bucket/lake"])
def test_a_lake_elsewhere_needs_a_server(
    make_config: Callable[..., Config], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(tracking.URI, raising=False)
    with pytest.raises(ConfigError, match=r"mlflow\.tracking_uri: .*MLFLOW_TRACKING_URI"):
        tracking.place(make_config(f"lake.path={path}"))


def test_passwords_are_shown_nowhere(make_config: Callable[..., Config], closed_port: int) -> None:
    uri = f"http://user:secret@127.0.0.1:{closed_port}"
    config = make_config(f"mlflow.tracking_uri={uri}")
    assert config.mlflow.tracking_uri == uri
    assert "secret" not in config.to_yaml()
    assert f"http://***@127.0.0.1:{closed_port}" in config.to_yaml()
    with pytest.raises(TrackingError) as raised:
        tracking.connect(tracking.place(config), "tests")
    assert str(raised.value) == f"MLflow at http://***@127.0.0.1:{closed_port} does not answer"


@pytest.mark.slow
def test_mlflow_is_not_loaded_before_a_store_is_opened() -> None:
    code = "import sys, profilelake.pipeline; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


# -- runs


def test_a_run_keeps_what_is_logged(tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "figure_4.svg").write_text("<svg/>")
    with tracker.training("t", "kept", {LAKE_RUN: "r1", "table.posts": "posts@3"}) as parent:
        assert parent.read("measured.json") is None
        parent.write("measured.json", '{"a": 1}')
        parent.folder(tmp_path / "figures", "figures")
        with tracker.part(parent, "R1 F", {LAKE_RUN: "r1"}) as part:
            part.log({"c": 1.0}, {"accuracy": 0.5, "p_value": None}, {"fold_accuracy": [0.25, 0.75]}, {"said": "so"})
            part.file(tmp_path / "figures" / "figure_4.svg", "plots")
        assert status(tracker, "kept") == "RUNNING"
    assert status(tracker, "kept") == FINISHED
    assert parent.read("measured.json") == '{"a": 1}'
    assert tracker.kept(parent.run_id).fetch("figures", tmp_path).joinpath("figure_4.svg").read_text() == "<svg/>"
    (held,) = tracker.parts(parent.run_id).values()
    assert (held.run_id, held.status, held.tags[LAKE_RUN], held.tags["said"]) == (part.run_id, FINISHED, "r1", "so")
    run = tracker._client.get_run(part.run_id)
    assert run.data.params == {"c": "1.0"}
    assert run.data.metrics == {"accuracy": 0.5, "fold_accuracy": 0.75}
    history = tracker._client.get_metric_history(part.run_id, "fold_accuracy")
    assert [(entry.step, entry.value) for entry in history] == [(0, 0.25), (1, 0.75)]
    assert run.info.artifact_uri.startswith(f"file://{tracker.where.folder}/artifacts")


def halves(tracker: Tracker, digest: str, failure: BaseException) -> tuple[TrackedRun, TrackedRun]:
    """A training that fails in its second part."""
    made = []

    def train() -> None:
        with tracker.training("t", digest, {LAKE_RUN: "first"}) as parent:
            made.append(parent)
            with tracker.part(parent, "done", {}):
                pass
            with tracker.part(parent, "half", {}) as half:
                made.append(half)
                half.log({"c": 1})
                raise failure

    with pytest.raises(type(failure)):
        train()
    return made[0], made[1]


@pytest.mark.parametrize(("failure", "expected"), [(ValueError("no"), FAILED), (KeyboardInterrupt(), KILLED)])
def test_what_fails_is_marked_and_resumed_under_its_id(tracker: Tracker, failure: BaseException, expected: str) -> None:
    digest = f"fails-{expected}"
    parent, half = halves(tracker, digest, failure)
    assert status(tracker, digest) == expected
    assert {part: run.status for part, run in tracker.parts(parent.run_id).items()} == {
        "done": FINISHED, "half": expected,
    }  # fmt: skip
    with tracker.training("t", digest, {LAKE_RUN: "second"}) as again:
        assert (again.run_id, again.tags[LAKE_RUN]) == (parent.run_id, "first")
        assert status(tracker, digest) == "RUNNING"
        with tracker.part(again, "half", {}) as anew:
            anew.log({"c": 2})  # a parameter cannot be changed, so it is another run
    assert status(tracker, digest) == FINISHED
    parts = tracker.parts(parent.run_id)
    assert {part: run.status for part, run in parts.items()} == {"done": FINISHED, "half": FINISHED}
    assert parts["half"].run_id == anew.run_id != half.run_id


def test_a_training_that_still_runs_is_not_taken_over(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        theirs = f"{socket.gethostname()}:{other.pid}:{int(__import__('psutil').Process(other.pid).create_time())}"
        with monkeypatch.context() as patch:
            patch.setattr(tracking, "holder", lambda: theirs)
            tracker._client.create_run(tracker._experiment, tags={tracking.DIGEST: "live", tracking._HOLDER: theirs})
        with pytest.raises(LakeLocked, match="the same training runs already"), tracker.training("t", "live", {}):
            pass
    finally:
        other.communicate(b"\n")
    # it died without a word
    with tracker.training("t", "live", {}) as taken:
        pass
    assert status(tracker, "live") == FINISHED
    assert taken.run_id == tracker.last("live").run_id  # type: ignore[union-attr]


def test_a_failure_that_cannot_be_entered_is_still_the_one_that_is_heard_of(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(tracker._client, "set_terminated", refuse)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match="the cause"),
        tracker.training("t", "unheard", {}),
    ):
        raise ValueError("the cause")
    assert "could not be entered in MLflow" in caplog.text


# -- models


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((60, 3))
    y = (x[:, 0] > 0.5).astype(np.int8)
    x[3, 1] = np.nan
    folder = tmp_path_factory.mktemp("model") / "model"
    fitted = crossval.fitted(x, y, PLAN)
    example = pd.DataFrame(x[:5], columns=["a", "b", "c"])
    return folder, models.save(fitted, example, folder, {"columns": ["a", "b", "c"]}), fitted.predict_proba(x)


def test_a_model_is_registered_once_and_read_back(
    tracker: Tracker, saved: tuple[Path, str, np.ndarray], tmp_path: Path
) -> None:
    import mlflow.pyfunc

    folder, sha256, probabilities = saved
    with tracker.training("t", "models", {}) as run:
        run.folder(folder, models.FOLDER)
    version = tracker.register("selfie_R7_Women's", run.run_id, models.FOLDER, {"model_sha256": sha256})
    assert tracker.register("selfie_R7_Women's", run.run_id, models.FOLDER, {}) == version
    assert tracker.champion(version.model) is None
    tracker.set_champion(version.model, version.version)
    assert tracker.champion(version.model) == version.version == "1"
    found = tracker.download(version.model, version.version, tmp_path)
    loaded = models.load(found, sha256)
    x = np.random.default_rng(0).random((60, 3))
    x[3, 1] = np.nan
    np.testing.assert_array_equal(loaded.estimator.predict_proba(x), probabilities)
    assert loaded.metadata == {"columns": ["a", "b", "c"]}
    # as anybody reads it who has MLflow alone
    served = mlflow.pyfunc.load_model(str(found))
    assert served.metadata.get_input_schema().input_names() == ["a", "b", "c"]
    example = served.input_example
    assert list(example.columns) == ["a", "b", "c"]
    np.testing.assert_allclose(served.predict(example), probabilities[:5])
    with pytest.raises(tracking.NotTracked):
        tracker.download(version.model, "9", tmp_path)
    with pytest.raises(tracking.NotTracked):
        tracker.download("selfie_nobody", "1", tmp_path)


@pytest.mark.slow
def test_a_search_for_c_and_gamma_can_be_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 2)), np.arange(24) % 2
    plan = crossval.Plan(5, 20, 1.0, "scale", True, 0, 600, 10, seed=1)
    fitted = crossval.fitted(x, y, plan)
    sha256 = models.save(fitted, pd.DataFrame(x[:2], columns=["a", "b"]), tmp_path / "model", {})
    loaded = models.load(tmp_path / "model", sha256)
    np.testing.assert_array_equal(loaded.estimator.predict_proba(x), fitted.predict_proba(x))


def test_another_file_than_the_one_that_went_live_is_not_loaded(
    saved: tuple[Path, str, np.ndarray], tmp_path: Path
) -> None:
    folder, sha256, _ = saved
    with pytest.raises(models.UnusableModel, match="changed since, and is not loaded"):
        models.load(folder, "0" * 64)
    with pytest.raises(models.UnusableModel, match="cannot be read"):
        models.load(tmp_path, sha256)


class Foreign(LogisticRegression):
    """A type that no model of ours is of."""


def test_a_file_that_names_its_own_types_is_not_trusted(saved: tuple[Path, str, np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text((saved[0] / "MLmodel").read_text())
    skops.io.dump(Foreign(), tmp_path / "model.skops")
    with pytest.raises(models.UnusableModel, match="types that no model of profilelake has"):
        models.load(tmp_path, None)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """MLflow sets handlers of its own."""
    yield
    logging.getLogger("mlflow").setLevel(logging.WARNING)
