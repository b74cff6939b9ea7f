"""BabelDomains' own files (Camacho-Collados and Navigli, EACL 2017), which the user has: domains of synsets or titles.

A line is `id<TAB>Domain<TAB>score`, further domains with their scores behind; a score may carry `*`, which marks how
the domain was found. The id is a BabelNet synset (`bn:00000001n`), a WordNet 3.0 synset (`00001740n`, `00001740-n`,
`wn:00001740n`) or a title of Wikipedia. Titles are words already. Synsets need a list of senses: which word has which,
in order: a folder of WordNet's files, or a text file of lines `word<TAB>id<TAB>key` with key 1 or 0, as one writes it
from BabelNet's indices.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from profilelake.errors import ConfigError
from profilelake.interests import wordnet
from profilelake.interests.domains import Domains
from udfs.interests.words import fold

_SYNSET = re.compile(r"(?:(bn):(\d{8})([nvar])|(?:wn:)?(\d{8})-?([nvars]))")
_SCORE = re.compile(r"\d*\.?\d+([eE]-?\d+)?\*?|\*|-")

# A word, its senses in order: synset and whether it is a key sense.
Senses = Mapping[str, Sequence[tuple[str, bool]]]


def read(path: Path, senses: Path | None, known: Domains) -> dict[str, tuple[str, ...]]:
    """Words with their domains, as `lexicon.read`: of each key sense the best, else of the first sense that has one.

    Args:
        path: BabelDomains' file.
        senses: which word has which synsets; None for a file by title.
        known: the domains.

    Raises:
        ConfigError: a file cannot be read, or a line is not of its form or names an unknown domain (the line is named),
            synsets come without a list of senses, or titles with one, or the two have no synset in common.
    """
    found, by_title = _read_domains(path, known)
    if by_title:
        if senses is not None:
            raise ConfigError(f"{path} is by title of Wikipedia and needs no list of senses")
        return {word: (domain,) for word, domain in found.items()}
    if senses is None:
        raise ConfigError(f"{path} is by synset: name a list of senses too, WordNet's folder or a file word, id, key")
    entries = {}
    met = False
    for word, of in _read_senses(senses).items():
        met = met or any(synset in found for synset, _ in of)
        key = [found[synset] for synset, is_key in of if is_key and synset in found]
        entries[word] = tuple(dict.fromkeys(key or [found[synset] for synset, _ in of if synset in found][:1]))
    if not met:
        raise ConfigError(f"{path} and {senses} have no synset in common: they are of different resources")
    return entries


def _read_domains(path: Path, known: Domains) -> tuple[dict[str, str], bool]:
    """By synset or title its best domain, and whether it is by title."""
    found: dict[str, str] = {}
    by_title: bool | None = None
    for number, line in _lines(path):
        name, *rest = line.split("\t")
        synset = _SYNSET.fullmatch(name)
        if by_title is None:
            by_title = synset is None
        if by_title == (synset is not None):
            raise ConfigError(f"{path} line {number}: {name!r} beside ids of another kind")
        best = _best(path, number, rest, known)
        title = fold(name.replace("_", " "))
        if synset is None and ("(" in name or not title or title in found):
            continue  # `Apple (company)` is not what the bare word means; of titles spelt alike the first counts
        ident = title if synset is None else _plain(synset)
        if ident in found:
            raise ConfigError(f"{path} line {number}: {name!r} stands there twice")
        found[ident] = best
    if by_title is None:
        raise ConfigError(f"{path} holds no line")
    return found, by_title


def _best(path: Path, number: int, cells: Sequence[str], known: Domains) -> str:
    """The domain with the highest score of a line; BabelDomains writes the best one first, which breaks ties."""
    if not cells or len(cells) % 2:
        raise ConfigError(f"{path} line {number}: not an id and then pairs of a domain and its score, parted by tabs")
    best, highest = "", -1.0
    for name, score in zip(cells[::2], cells[1::2], strict=True):
        domain = known.of_babel(name)
        if domain is None:
            raise ConfigError(f"{path} line {number}: BabelDomains has no domain {name!r}")
        if not _SCORE.fullmatch(score):
            raise ConfigError(f"{path} line {number}: the score {score!r} is no number")
        value = float(score.rstrip("*-") or 0)
        if value > highest:
            best, highest = domain, value
    return best


def _read_senses(path: Path) -> Senses:
    if path.is_dir():
        return _wordnet_senses(path)
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for number, line in _lines(path):
        cells = line.split("\t")
        if len(cells) != 3 or cells[2] not in ("0", "1"):
            raise ConfigError(f"{path} line {number}: not a word, an id and 1 or 0, parted by tabs")
        synset = _SYNSET.fullmatch(cells[1])
        word = fold(cells[0])
        if synset is None or not word:
            raise ConfigError(f"{path} line {number}: no word, or {cells[1]!r} is no synset")
        found[word].append((_plain(synset), cells[2] == "1"))
    return found


def _wordnet_senses(folder: Path) -> Senses:
    """WordNet's nouns; key is the first sense, and what is met in its texts at least half as often."""
    nouns = wordnet.read(folder)
    found: dict[str, list[tuple[str, bool]]] = {}
    for word, offsets in nouns.senses.items():
        key = set(nouns.key_senses(word))
        found.setdefault(fold(word), []).extend((offset + "n", offset in key) for offset in offsets)
    return found


def _plain(synset: re.Match[str]) -> str:
    babel, number, pos, offset, wordnet_pos = synset.groups()
    return f"bn:{number}{pos}" if babel else f"{offset}{wordnet_pos}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, each with its number from 1."""
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from error
