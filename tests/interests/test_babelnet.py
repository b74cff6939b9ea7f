"""BabelNet's HTTP API, played by a server of our own that speaks its documented JSON, errors included."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.interests import babelnet, lexicon
from profilelake.interests.babelnet import KEY, Api, Paused, Refused
from profilelake.interests.domains import domains

SECRET = "0a1b-secret-of-the-test"
LIMIT = {
    "message": "Your key is not valid or the daily requests limit has been reached. Please visit http://babelnet.org."
}

# word: its synsets; synset: key concept, domains
WORDS = {"jaguar": ["bn:1n", "bn:2n", "bn:3n"], "hip hop": ["bn:4n"], "thing": ["bn:5n"], "xqz": []}
SYNSETS: dict[str, tuple[bool, dict[str, float]]] = {
    "bn:1n": (True, {"BIOLOGY": 0.3, "ANIMALS": 0.7}),
    "bn:2n": (True, {"TRANSPORT_AND_TRAVEL": 0.9}),
    "bn:3n": (False, {"SPORT_GAMES_AND_RECREATION": 1.0}),
    "bn:4n": (False, {"MUSIC_SOUND_AND_DANCING": 0.5, "GENERAL": 0.9}),
    "bn:5n": (True, {"GENERAL": 0.4}),
}


class Server(ThreadingHTTPServer):
    """Attributes set what goes wrong: `quota` answers, then the limit; `fail` by count of a request what to do."""

    daemon_threads = True
    quota = 1_000
    asked: list[str]
    fail: dict[int, str]
    release: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(parts.path.rpartition("/")[2] + " " + query.get("lemma", query.get("id", "")))
        how = self.server.fail.get(len(self.server.asked), "")
        if how == "hang":
            self.server.release.wait(10)
            self.close_connection = True
        elif how == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
        elif how == "html":
            self.say(200, b"<html>")
        elif how == "limit 200":
            self.say(200, json.dumps(LIMIT).encode())
        elif how.isdigit():
            self.say(int(how), b"{}")
        elif how:
            self.say(200, how.encode())
        elif query["key"] != SECRET or len(self.server.asked) > self.server.quota:
            self.say(403, json.dumps(LIMIT).encode())
        else:
            self.say(200, json.dumps(self.answer(parts.path, query)).encode())

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if path == "/v9/getSynsetIds":
            assert (query["searchLang"], query["pos"]) == ("EN", "NOUN")
            return [
                {"id": one, "pos": "NOUN", "source": "BABELNET"}
                for one in WORDS[query["lemma"].lower().replace("-", " ")]
            ]
        assert path == "/v9/getSynset"
        is_key, weights = SYNSETS[query["id"]]
        return {
            "senses": [], "wnOffsets": [], "glosses": [], "examples": [], "images": [], "synsetType": "CONCEPT",
            "categories": [], "translations": {}, "domains": weights, "lnToCompound": {}, "lnToOtherForm": {},
            "filterLangs": ["EN"], "bkeyConcepts": is_key,
        }  # fmt: skip

    def say(self, status: int, body: bytes) -> None:
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(body) if packed else body
        self.send_response(status)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.asked, made.fail, made.release = [], {}, threading.Event()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.release.set()
    made.shutdown()
    made.server_close()
    thread.join()


def api(server: Server, secret: str = SECRET, quota: int = 1_000, timeout: float = 5.0) -> Api:
    return Api(f"http://127.0.0.1:{server.server_address[1]}/v9", secret, timeout, quota)


def build(server: Server, target: Path, **of: Any) -> babelnet.Built:
    return babelnet.build(list(WORDS), api(server, **of), target, domains())


EXPECTED = {
    "jaguar": ("animals", "transport and travel"),
    "hip hop": ("music",),
    "thing": (),
    "xqz": (),
}


def test_a_lexicon_is_written_that_the_provider_reads(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "own.tsv.gz"
    done = build(server, target)
    assert (done.words, done.with_domain, done.requests, done.unmapped) == (4, 2, 9, {"GENERAL": 2})
    assert len(server.asked) == 9
    made = lexicon.load("babelnet", str(target))
    assert made.entries == EXPECTED
    assert made.domains_of("Hip-Hop") == ("music",)
    # all is known now: nothing is asked again
    assert build(server, target).requests == 0
    assert len(server.asked) == 9


def test_words_spelt_alike_are_asked_for_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "own.tsv"
    babelnet.build(["Hip-Hop", "hip hop", "", "#hip_hop"], api(server), target, domains())
    assert server.asked == ["getSynsetIds Hip-Hop", "getSynset bn:4n"]


def test_a_refused_key_says_so_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"status 403: the key in {KEY} is not valid, or its quota is used up") as told:
        build(server, tmp_path / "own.tsv", secret="wrong-secret")
    assert told.value.exit_code == 2
    assert "0 of 4 words are answered" in str(told.value)
    assert len(server.asked) == 1
    assert not (tmp_path / "own.tsv").exists()


@pytest.mark.parametrize("quota", range(1, 9))
def test_over_quota_it_pauses_and_goes_on_another_day(server: Server, tmp_path: Path, quota: int) -> None:
    target = tmp_path / "own.tsv"
    server.quota = quota
    with pytest.raises(Paused, match=f"after {quota} answers: the day's quota is used up") as told:
        build(server, target)
    assert told.value.exit_code == 1
    assert not target.exists()
    server.quota = 1_000
    assert build(server, target).requests == 9 - quota
    assert lexicon.load("babelnet", str(target)).entries == EXPECTED
    assert sorted(set(server.asked)) == sorted([*server.asked[:quota], *server.asked[quota + 1 :]])


def test_ones_own_quota_is_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Paused, match=r"4 requests were made, as many as this run may\. 1 of 4 words"):
        build(server, tmp_path / "own.tsv", quota=4)
    assert len(server.asked) == 4


@pytest.mark.parametrize("how", ["hang", "cut", "html", "500", "503"])
def test_a_passing_fault_is_tried_again(server: Server, tmp_path: Path, how: str) -> None:
    server.fail = {2: how, 5: how}
    done = build(server, tmp_path / "own.tsv", timeout=0.3)
    assert done.requests == 11
    assert lexicon.load("babelnet", str(tmp_path / "own.tsv")).entries == EXPECTED


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("hang", "does not answer within 0.2 s, 3 times"),
        ("500", "status 500, 3 times"),
        ("html", "no JSON, 3 times"),
        ("429", "status 429 after 2 answers"),
        ("limit 200", "limit is reached after 2 answers"),
    ],
)
def test_a_lasting_fault_pauses(server: Server, tmp_path: Path, how: str, said: str) -> None:
    server.fail = dict.fromkeys(range(3, 50), how)
    with pytest.raises(Paused, match=said):
        build(server, tmp_path / "own.tsv", timeout=0.2)
    assert not (tmp_path / "own.tsv").exists()
    server.fail = {}
    assert build(server, tmp_path / "own.tsv").requests == 7


def test_no_server_at_all(tmp_path: Path) -> None:
    nobody = Api("http://127.0.0.1:9/v9", SECRET, 1.0, 100)
    with pytest.raises(Paused, match="BabelNet's API fails: Connection refused, 3 times"):
        babelnet.build(["dog"], nobody, tmp_path / "own.tsv", domains())


@pytest.mark.parametrize(
    ("at", "how", "said"),
    [
        (1, "404", "status 404 to getSynsetIds"),
        (1, '{"senses": []}', "answers getSynsetIds with what it does not document"),
        (1, '[{"pos": "NOUN"}]', "answers getSynsetIds with what it does not document"),
        (2, '{"senses": []}', "answers getSynset with what it does not document"),
        (
            2,
            '{"bkeyConcepts": true, "domains": {"ANIMALS": "much"}}',
            "answers getSynset with what it does not document",
        ),
        (2, "[]", "answers getSynset with what it does not document"),
    ],
)
def test_what_is_not_documented_is_told(server: Server, tmp_path: Path, at: int, how: str, said: str) -> None:
    server.fail = {at: how}
    with pytest.raises(ProfilelakeError, match=said):
        build(server, tmp_path / "own.tsv")
    server.fail = {}
    build(server, tmp_path / "own.tsv")
    assert lexicon.load("babelnet", str(tmp_path / "own.tsv")).entries == EXPECTED


def test_a_run_killed_while_it_wrote_an_answer_goes_on(server: Server, tmp_path: Path) -> None:
    target, kept = tmp_path / "own.tsv", tmp_path / "own.tsv.answers.jsonl"
    build(server, target)
    whole = kept.read_text(encoding="utf-8")
    for cut in (whole.encode()[:-7], whole.encode() + '{"word": "café'.encode()[:-1]):
        kept.write_bytes(cut)
        build(server, target)
        assert kept.read_text(encoding="utf-8") == whole
    assert len(server.asked) == 10
    kept.write_text("not ours\n" + whole, encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1: no answer of BabelNet's API"):
        build(server, target)


def test_the_key_is_in_no_message_log_or_file(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for at, how in enumerate(["hang", "403", "404", "500", "html", "cut", "limit 200"]):
        server.asked.clear()
        server.fail = dict.fromkeys(range(1, 9), how)
        with pytest.raises(ProfilelakeError) as told:
            build(server, tmp_path / f"{at}.tsv", timeout=0.1)
        chain: BaseException | None = told.value
        while chain is not None:
            assert SECRET not in f"{chain} {chain!r}"
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    server.asked.clear()
    server.fail = {}
    build(server, tmp_path / "own.tsv")
    assert SECRET not in caplog.text
    assert SECRET not in repr(api(server))
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_what_is_wrong_beforehand() -> None:
    with pytest.raises(ConfigError, match=f"{KEY} must hold the key"):
        babelnet.key({})
    assert babelnet.key({KEY: f" {SECRET}\n"}) == SECRET
    with pytest.raises(ConfigError, match="must begin with https://"):
        Api("http://babelnet.example/v9", SECRET, 1.0, 1)
    with pytest.raises(ConfigError, match="the list of words is empty"):
        babelnet.build(["", "--"], Api("https://babelnet.example", SECRET, 1.0, 1), Path("none.tsv"), domains())
