"""Trainings in MLflow: where their runs are kept, runs that go on where a killed one stopped, registered models.

MLflow is imported when a store is opened, since that takes seconds. Whatever it cannot do is a TrackingError, whose
text holds no password.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profilelake.config import Config, masked
from profilelake.errors import ConfigError, LakeLocked, ProfilelakeError
from profilelake.failures import causes
from profilelake.ledger import holder, is_gone
from profilelake.reports import publish

log = logging.getLogger("profilelake.tracking")

URI = "MLFLOW_TRACKING_URI"
ALIAS = "champion"

# Tags of a run.
DIGEST = "profilelake.digest"  # of what the training rests on: the same digest is the same training
LAKE_RUN = "profilelake.run_id"  # runs.run_id of the run that began it
PART = "profilelake.part"  # which part of its parent a nested run is
_HOLDER = "profilelake.holder"
_PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"

FINISHED, FAILED, KILLED, _RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"

# A server that is down is found out soon: MLflow itself would try for four minutes.
_FIRST_CALL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_MOST = 1000  # runs of one parent; MLflow's own limit of a page is higher


class TrackingError(ProfilelakeError):
    """MLflow cannot be reached, or refuses."""


class NotTracked(TrackingError):
    """MLflow has no such model, or its files are gone."""


@dataclass(frozen=True)
class Place:
    """Where runs and models are kept: a tracking URI, and of the embedded store its folder."""

    uri: str
    folder: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether it can hold anything: an embedded store that was deleted holds nothing; of a server we don't ask."""
        return self.folder is None or (self.folder / "mlflow.db").exists()

    def __str__(self) -> str:
        return masked(self.uri)


def place(config: Config) -> Place:
    """mlflow.tracking_uri, else MLFLOW_TRACKING_URI, else a SQLite file in the folder `<lake.path>_mlflow`.

    Raises:
        ConfigError: neither is set, and the lake is on no disk of this machine.
    """
    uri = config.mlflow.tracking_uri or os.environ.get(URI)
    if uri:
        return Place(uri)
    local = None if config.lake.path is None else publish.local_path(config.lake.path)
    if local is None:
        raise ConfigError(
            "mlflow.tracking_uri: a lake that is not on a disk of this machine needs a server to keep runs and models "
            f"on; set it, or the environment variable {URI}"
        )
    folder = Path(os.path.abspath(f"{str(local).rstrip('/')}_mlflow"))
    return Place(f"sqlite:///{folder / 'mlflow.db'}", folder)


@dataclass(frozen=True)
class Tracked:
    """A run as the store has it."""

    run_id: str
    status: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Version:
    """A version of a registered model, and the run that made it."""

    model: str
    version: str
    run_id: str


class Tracker:
    """The runs of one experiment, and the registered models; `connect` makes one."""

    def __init__(self, client: Any, experiment_id: str, where: Place) -> None:
        self._client, self._experiment, self.where = client, experiment_id, where

    # -- runs

    def last(self, digest: str) -> Tracked | None:
        """The last run of a training, whatever became of it."""
        found = self._search(f"tags.`{DIGEST}` = '{digest}'", 1)
        return found[0] if found else None

    def parts(self, parent: str) -> dict[str, Tracked]:
        """The nested runs of a run, by what part of it they are."""
        return {
            run.tags[PART]: run for run in self._search(f"tags.`{_PARENT}` = '{parent}'", _MOST) if PART in run.tags
        }

    def _search(self, where: str, most: int) -> list[Tracked]:
        with self._clear():
            found = self._client.search_runs(
                [self._experiment], where, max_results=most, order_by=["attributes.start_time DESC"]
            )
        return [Tracked(run.info.run_id, run.info.status, dict(run.data.tags)) for run in found]

    @contextmanager
    def training(self, name: str, digest: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
        """The run of a training: that of an earlier attempt, or a new one. It ends FINISHED, FAILED, or KILLED where
        somebody pressed Ctrl-C.

        Raises:
            LakeLocked: the same training runs in another process of this machine.
        """
        found = self.last(digest)
        if found is None:
            with self._run(name, {**tags, DIGEST: digest}) as made:
                yield made
            return
        live = found.tags.get(_HOLDER, "")
        if found.status == _RUNNING and live not in ("", holder()) and not is_gone(live):
            raise LakeLocked(f"the same training runs already ({live}, tracked run {found.run_id}): wait for it")
        log.info("goes on with the tracked run %s (%s)", found.run_id, found.status)
        with self._run(name, {_HOLDER: holder()}, resumed=found) as made:
            yield made

    @contextmanager
    def part(self, parent: TrackedRun, part: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
        """A new nested run for a part of a training; what an earlier attempt left of it is deleted."""
        left = self.parts(parent.run_id).get(part)
        if left is not None:
            with self._clear():
                self._client.delete_run(left.run_id)
        with self._run(part, {**tags, PART: part, _PARENT: parent.run_id}) as made:
            yield made

    def kept(self, run_id: str) -> TrackedRun:
        """A run that is done, to look into."""
        return TrackedRun(self, run_id, {})

    @contextmanager
    def _run(self, name: str, tags: Mapping[str, str], resumed: Tracked | None = None) -> Iterator[TrackedRun]:
        with self._clear():
            if resumed is None:
                given = {**tags, _NAME: name, _HOLDER: holder()}
                run_id = self._client.create_run(self._experiment, tags=given).info.run_id
                own = Tracked(run_id, _RUNNING, given)
            else:
                own = resumed
                self._client.update_run(own.run_id, status=_RUNNING)
                for key, value in tags.items():
                    self._client.set_tag(own.run_id, key, value)
        try:
            yield TrackedRun(self, own.run_id, own.tags)
        except BaseException as failure:
            self._end(own.run_id, KILLED if isinstance(failure, KeyboardInterrupt) else FAILED, failure)
            raise
        with self._clear():
            self._client.set_terminated(own.run_id, FINISHED)

    def _end(self, run_id: str, status: str, failure: BaseException) -> None:
        """Enter a failure; where that fails too, the failure itself is what a person must hear of."""
        try:
            with self._clear():
                self._client.set_terminated(run_id, status)
        except TrackingError as error:
            log.warning("the failure (%s) could not be entered in MLflow: %s", type(failure).__name__, error)

    # -- registered models

    def register(self, model: str, run_id: str, path: str, tags: Mapping[str, str]) -> Version:
        """Register what a run holds under `path` as a version of a model; what is registered already stays so."""
        with self._clear():
            held = [v for v in self._client.search_model_versions(f"run_id = '{run_id}'") if v.name == model]
            if held:
                return Version(model, str(held[0].version), run_id)
            if not self._client.search_registered_models(_named(model), max_results=1):
                self._client.create_registered_model(model)
            source = self._client.get_run(run_id).info.artifact_uri.rstrip("/") + f"/{path}"
            made = self._client.create_model_version(model, source, run_id, tags=dict(tags))
            return Version(model, str(made.version), run_id)

    def champion(self, model: str) -> str | None:
        """The version that has the alias, or None."""
        with self._clear():
            found = self._client.search_registered_models(_named(model), max_results=1)
        held = found[0].aliases.get(ALIAS) if found else None
        return None if held is None else str(held)

    def set_champion(self, model: str, version: str) -> None:
        """Let the alias name a version."""
        if self.champion(model) != version:
            with self._clear():
                self._client.set_registered_model_alias(model, ALIAS, version)

    def download(self, model: str, version: str, folder: Path) -> Path:
        """The files of a version, below a local folder.

        Raises:
            NotTracked: there is no such version, or its files are gone.
        """
        import mlflow

        with self._clear():
            source = self._client.get_model_version_download_uri(model, version)
            return Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=source, dst_path=str(folder), tracking_uri=self.where.uri
                )
            )

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """What MLflow and what it rests on raise, as a TrackingError."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except MlflowException as error:
            kind = NotTracked if error.error_code == "RESOURCE_DOES_NOT_EXIST" else TrackingError
            raise kind(_said(self.where, error)) from error
        except (RequestException, SQLAlchemyError, OSError) as error:
            kind = NotTracked if isinstance(error, FileNotFoundError) else TrackingError
            raise kind(_said(self.where, error)) from error


class TrackedRun:
    """A run that is open, or one that is done and looked into."""

    def __init__(self, tracker: Tracker, run_id: str, tags: Mapping[str, str]) -> None:
        self._tracker, self._client, self.run_id, self.tags = tracker, tracker._client, run_id, tags

    def log(
        self,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float | None] | None = None,
        series: Mapping[str, Sequence[float]] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Parameters, metrics (None is passed over), metrics with a value a step, from 0, and tags, in one call."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        measured = [Metric(key, value, now, 0) for key, value in (metrics or {}).items() if value is not None]
        for key, values in (series or {}).items():
            measured += [Metric(key, value, now, step) for step, value in enumerate(values)]
        with self._tracker._clear():
            self._client.log_batch(
                self.run_id,
                metrics=measured,
                params=[Param(key, str(value)) for key, value in (params or {}).items()],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            )

    def folder(self, local: Path, at: str | None = None) -> None:
        """Keep what is below a local folder."""
        with self._tracker._clear():
            self._client.log_artifacts(self.run_id, str(local), at)

    def file(self, local: Path, at: str | None = None) -> None:
        """Keep a local file, below the folder `at`."""
        with self._tracker._clear():
            self._client.log_artifact(self.run_id, str(local), at)

    def write(self, name: str, text: str) -> None:
        """Keep a text."""
        with self._tracker._clear():
            self._client.log_text(self.run_id, text, name)

    def read(self, name: str) -> str | None:
        """A text that is kept; None where there is none."""
        with self._tracker._clear(), tempfile.TemporaryDirectory(prefix="profilelake-mlflow-") as folder:
            if name not in {held.path for held in self._client.list_artifacts(self.run_id)}:
                return None
            return Path(self._client.download_artifacts(self.run_id, name, folder)).read_text(encoding="utf-8")

    def fetch(self, path: str, folder: Path) -> Path:
        """A kept folder, below a local one."""
        with self._tracker._clear():
            return Path(self._client.download_artifacts(self.run_id, path, str(folder)))


def connect(where: Place, experiment: str) -> Tracker:
    """Open a store, and the experiment in it, both made where they are missing.

    Raises:
        TrackingError: it cannot be reached, or the experiment was deleted.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing that we didn't ask for leaves this machine
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.tracking import MlflowClient

    for talkative in ("mlflow", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    if where.folder is not None:
        where.folder.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(None, "", where)
    with tracker._clear(), _environment(_FIRST_CALL):
        client = MlflowClient(tracking_uri=where.uri, registry_uri=where.uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            artifacts = None if where.folder is None else (where.folder / "artifacts").as_uri()
            return Tracker(client, client.create_experiment(experiment, artifact_location=artifacts), where)
    if found.lifecycle_stage != "active":
        raise TrackingError(f"MLflow at {where}: the experiment {experiment} was deleted: restore it, or name another")
    return Tracker(client, found.experiment_id, where)


def _named(model: str) -> str:
    """MLflow's filter for one registered model."""
    quote = '"' if "'" in model else "'"
    return f"name = {quote}{model}{quote}"


def _said(where: Place, error: Exception) -> str:
    from requests import ConnectionError as NoConnection
    from requests import Timeout

    if any(isinstance(link, (NoConnection, Timeout)) for link in causes(error)):
        return f"MLflow at {where} does not answer"
    first = masked(str(error).strip().split("\n", 1)[0])
    return f"MLflow at {where} cannot be used: {type(error).__name__}: {first[:500]}"


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for as long as a block runs; what is set stays as it is."""
    added = [key for key in values if key not in os.environ]
    os.environ.update({key: values[key] for key in added})
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]
