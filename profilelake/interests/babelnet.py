"""BabelNet's HTTP API (paper 2's own source), asked once for a list of words, to write a lexicon file.

What its guide documents, and what is asked for here, with GET, JSON back:

- `getSynsetIds?lemma=&searchLang=EN&pos=NOUN&key=`: `[{"id": "bn:00005054n", "pos": "NOUN", ...}, ...]`
- `getSynset?id=&targetLang=EN&key=`: an object with `domains` (`{"FOOD_AND_DRINK": 0.56}`) and `bkeyConcepts`, among
  others.

A refused key and a used-up day's quota get one and the same answer, status 403 and the `message` "Your key is not valid
or the daily requests limit has been reached". Every answer is appended to a file beside the lexicon before the next
request, so that a run that is killed, over quota or offline goes on where it was, and no request is paid twice. The
lexicon is written when all words are answered, never before. The key travels in the query alone: no message and no log
holds an address.
"""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.interests import lexicon
from profilelake.interests.domains import Domains
from udfs.interests.words import fold

log = logging.getLogger("profilelake.interests")

KEY = "PROFILELAKE_BABELNET_KEY"

# Of one word; common words have over fifty synsets, most of them names of films and firms.
MAX_SYNSETS = 10

# One request, tried again after a time-out or a server's fault.
ATTEMPTS = 3


class Refused(ConfigError):
    """The API has refused the key, or the day's quota is used up already: it says which of the two to nobody."""


class Paused(ProfilelakeError):
    """Not all words are answered; the answers are kept, and the same call goes on."""


def key(environ: Mapping[str, str] = os.environ) -> str:
    """The API's key, from the environment, where a cluster also puts what is in its secret scope.

    Raises:
        ConfigError: there is none.
    """
    found = environ.get(KEY, "").strip()
    if not found:
        raise ConfigError(
            f"the environment variable {KEY} must hold the key of BabelNet's API (on Databricks: a reference to a "
            "secret scope in the cluster's environment)"
        )
    return found


def read_words(path: Path) -> list[str]:
    """The words of a text file, one a line.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"the list of words, {path}, cannot be read: {reason}") from error


@dataclass
class Api:
    """The API, with what it may be asked.

    Attributes:
        url: its address, up to the method's name.
        secret: the key.
        timeout: seconds that an answer may take.
        quota: requests that may still be made.
        requests: requests made.
        answered: of these, the ones that were answered.
    """

    url: str
    secret: str = field(repr=False)
    timeout: float
    quota: int
    requests: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ConfigError(
                "the address of BabelNet's API must begin with https://: the key travels with each request"
            )

    def get(self, method: str, **parameters: str) -> Any:
        """The JSON that a method answers.

        Raises:
            Paused: the quota given is used up, the API is over quota after it answered before, or it cannot be reached.
            Refused: the API has refused the first request of this run.
            ProfilelakeError: it answers what it does not document.
        """
        query = urllib.parse.urlencode({**parameters, "key": self.secret})
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/{method}?{query}", headers={"Accept-Encoding": "gzip", "User-Agent": "profilelake"}
        )
        why = ""
        for _ in range(ATTEMPTS):
            if self.requests >= self.quota:
                raise Paused(f"{self.requests:,} requests were made, as many as this run may")
            self.requests += 1
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    body = response.read()
                    packed = response.headers.get("Content-Encoding") == "gzip"
                found = json.loads(gzip.decompress(body) if packed else body)
            except urllib.error.HTTPError as error:
                why = f"BabelNet's API answers status {error.code}"
                error.close()
                if error.code in (401, 403, 429):
                    raise self._refusal(why) from None
                if error.code < 500:
                    raise ProfilelakeError(f"{why} to {method}; its address may be another version's") from None
            except TimeoutError:
                why = f"BabelNet's API does not answer within {self.timeout:g} s"
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
                reason = getattr(error, "reason", error)
                told = getattr(reason, "strerror", None) or type(reason).__name__
                late = f"does not answer within {self.timeout:g} s"
                why = f"BabelNet's API {late if isinstance(reason, TimeoutError) else f'fails: {told}'}"
            except (ValueError, EOFError, OSError, zlib.error):
                why = f"BabelNet's API answers {method} with what is no JSON"
            else:
                if isinstance(found, dict) and "limit has been reached" in str(found.get("message", "")):
                    raise self._refusal("BabelNet's API says that the key is not valid or the day's limit is reached")
                self.answered += 1
                return found
        raise Paused(f"{why}, {ATTEMPTS} times")

    def _refusal(self, why: str) -> Paused | Refused:
        """A key that was accepted in this run is no wrong one."""
        if self.answered:
            return Paused(f"{why} after {self.answered:,} answers: the day's quota is used up")
        return Refused(
            f"{why}: the key in {KEY} is not valid, or its quota is used up for today; nothing was asked for"
        )


@dataclass(frozen=True)
class Synset:
    """What the API says of a synset.

    Attributes:
        is_key: whether it is a key concept.
        domains: its weights by the API's domain names.
    """

    is_key: bool
    domains: Mapping[str, float]


class Answers:
    """All answers so far: a file of one JSON object a line, only ever appended to.

    A last line without its end was being written when a run was killed; its request is made again.
    """

    def __init__(self, path: Path) -> None:
        """Raises ConfigError where the file is not one of answers; the line is named."""
        self._path = path
        self.synsets_of: dict[str, list[str]] = {}
        self.synsets: dict[str, Synset] = {}
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._take(json.loads(line.decode("utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigError(f"{path} line {number}: no answer of BabelNet's API; move the file away") from error
        if whole != data:
            os.truncate(path, len(whole))

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take an answer and keep it. Raises what a malformed one leads to, and keeps nothing then."""
        self._take(answer)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(answer, ensure_ascii=False, sort_keys=True) + "\n")

    def _take(self, answer: Mapping[str, Any]) -> None:
        if "word" in answer:
            self.synsets_of[answer["word"]] = list(answer["synsets"])
        else:
            weights = {str(name): float(weight) for name, weight in answer["domains"].items()}
            self.synsets[answer["synset"]] = Synset(bool(answer["key"]), weights)


@dataclass(frozen=True)
class Built:
    """What a run did: words in the lexicon, those of them with a domain, requests made, and the API's domains that no
    domain of ours stands for, with how many synsets have them."""

    words: int
    with_domain: int
    requests: int
    unmapped: Mapping[str, int]


def build(words: Sequence[str], api: Api, target: Path, known: Domains) -> Built:
    """Ask for every word and write the lexicon.

    Args:
        words: as anybody writes them; spelt alike they are asked for once, as the first of them is written: the API
            knows `jack-o'-lantern`, but not what becomes of it when it is folded.
        api: the API.
        target: the lexicon file to write; the answers are kept beside it, in `<name>.answers.jsonl`.
        known: the domains.

    Raises:
        Paused, Refused, ProfilelakeError: not all words are answered; `Api.get` says why. The answers so far are kept.
    """
    wanted: dict[str, str] = {}
    for spelling in words:
        wanted.setdefault(fold(spelling), " ".join(spelling.split()))
    wanted.pop("", None)
    if not wanted:
        raise ConfigError("the list of words is empty")
    answers = Answers(target.with_name(target.name + ".answers.jsonl"))
    try:
        for word, spelling in wanted.items():
            _ask(word, spelling, api, answers)
    except (Paused, Refused) as stopped:
        done = sum(_answered(word, answers) for word in wanted)
        raise type(stopped)(
            f"{stopped}. {done:,} of {len(wanted):,} words are answered and kept; the same call goes on, and "
            f"{target.name} is written when all are"
        ) from None
    entries = {word: _domains([answers.synsets[one] for one in answers.synsets_of[word]], known) for word in wanted}
    lexicon.write(target, entries, ["Domains of words from BabelNet's HTTP API, whose licence forbids commercial use."])
    unmapped = Counter(
        name for synset in answers.synsets.values() for name in synset.domains if name not in known.of_api
    )
    if unmapped:
        log.info("no domain of ours stands for BabelNet's %s", ", ".join(sorted(unmapped)))
    return Built(len(entries), sum(map(bool, entries.values())), api.requests, dict(sorted(unmapped.items())))


def _ask(word: str, spelling: str, api: Api, answers: Answers) -> None:
    if word not in answers.synsets_of:
        found = api.get("getSynsetIds", lemma=spelling, searchLang="EN", pos="NOUN")
        try:
            synsets = [str(item["id"]) for item in found][:MAX_SYNSETS]
        except (TypeError, KeyError) as error:
            raise ProfilelakeError("BabelNet's API answers getSynsetIds with what it does not document") from error
        answers.add({"word": word, "synsets": synsets})
    for synset in answers.synsets_of[word]:
        if synset not in answers.synsets:
            found = api.get("getSynset", id=synset, targetLang="EN")
            try:
                answers.add({"synset": synset, "key": bool(found["bkeyConcepts"]), "domains": dict(found["domains"])})
            except (TypeError, KeyError, ValueError) as error:
                raise ProfilelakeError("BabelNet's API answers getSynset with what it does not document") from error


def _answered(word: str, answers: Answers) -> bool:
    return word in answers.synsets_of and all(one in answers.synsets for one in answers.synsets_of[word])


def _domains(synsets: Sequence[Synset], known: Domains) -> tuple[str, ...]:
    """Of each key synset the heaviest domain, each once; without any, that of the first synset that has one."""
    key = [domain for domain in (_heaviest(synset, known) for synset in synsets if synset.is_key) if domain]
    other = [domain for domain in (_heaviest(synset, known) for synset in synsets) if domain]
    return tuple(dict.fromkeys(key or other[:1]))


def _heaviest(synset: Synset, known: Domains) -> str | None:
    ours = [(-weight, known.of_api[name]) for name, weight in synset.domains.items() if name in known.of_api]
    return min(ours)[1] if ours else None
