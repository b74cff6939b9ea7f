"""jobs/build_lexicon.py: what it writes, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.build_lexicon import main
from profilelake.interests import lexicon
from profilelake.interests.babelnet import KEY
from tests.interests import test_babelnet as played

server = played.server


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def made(*arguments: str) -> dict[str, Any]:
        code = main(arguments)
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said["exit_code"] == code
        return dict(said)

    return made


def asked(server: played.Server, tmp_path: Path, *more: str) -> tuple[str, ...]:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(played.WORDS) + "\n", encoding="utf-8")
    url = f"http://127.0.0.1:{server.server_address[1]}/v9"
    return ("babelnet", "--words", str(words), "--out", str(tmp_path / "own.tsv.xz"), "--url", url, *more)


def test_a_lexicon_from_the_api(
    call: Any, server: played.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, played.SECRET)
    paused = call(*asked(server, tmp_path, "--max-requests", "4"))
    assert (paused["status"], paused["exit_code"]) == ("failed", 1)
    assert "1 of 4 words are answered and kept; the same call goes on" in paused["error"]
    done = call(*asked(server, tmp_path))
    assert (done["status"], done["exit_code"], done["words"], done["requests"]) == ("done", 0, 4, 5)
    assert lexicon.load("babelnet", str(tmp_path / "own.tsv.xz")).entries == played.EXPECTED


def test_without_a_key_nothing_is_asked(
    call: Any, server: played.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    refused = call(*asked(server, tmp_path))
    assert refused["exit_code"] == 2
    assert f"the environment variable {KEY} must hold the key" in refused["error"]
    assert server.asked == []


def test_a_refused_key_ends_with_status_2(
    call: Any, server: played.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "wrong-secret")
    refused = call(*asked(server, tmp_path))
    assert refused["exit_code"] == 2
    assert "wrong-secret" not in json.dumps(refused)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wordnet", "--sources", "none"], "none lacks WordNet's index.noun, data.noun, cntlist.rev, noun.exc"),
        (["wordnet"], "--sources"),
        (["babelnet", "--words", "none.txt", "--out", "own.tsv"], "none.txt, cannot be read: No such file"),
        (["dictionary"], "dictionary"),
        (["babelnet", "--words", "a", "--out", "b", "--max-requests", "many"], "max-requests"),
    ],
)
def test_wrong_arguments_are_told(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv(KEY, played.SECRET)
    monkeypatch.chdir(tmp_path)
    refused = call(*arguments)
    assert refused["exit_code"] == 2
    assert said in refused["error"]
