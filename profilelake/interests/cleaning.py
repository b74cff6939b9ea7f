"""What is left out of labels and tags, and by which rule (paper 2, section 3): one cleaning for both.

In order: folding (`words.fold`), the reviewed lists on the whole text, the lexicon on the whole text, then the longest
parts from the left, each through the lists and the lexicon. The lists come before the lexicon only to tell a better
rule: what they hold is left out either way. The work is a row a distinct word, in plain Python; a stage joins the rows
to the tags of its users.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from profilelake import yamlfile
from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from profilelake.interests.lexicon import Lexicon, split
from profilelake.interests.words import fold

KEPT = "kept"
BLANK = "blank"
TOO_LONG = "too_long"
NOT_IN_LEXICON = "not_in_lexicon"
NO_DOMAIN = "no_domain"
LISTED = ("camera", "technique", "picture_type", "colour", "stop_word")

# What became of a word; all but the first mean that it was dropped.
RULES = (KEPT, BLANK, TOO_LONG, *LISTED, NOT_IN_LEXICON, NO_DOMAIN)

# Longer texts are no tags: nothing in the lexicon is half as long.
MAX_LENGTH = 128


class _List(yamlfile.Strict):
    words: list[str]
    patterns: list[str]


class _File(yamlfile.Strict):
    camera: _List
    technique: _List
    picture_type: _List
    colour: _List
    stop_word: _List


class Row(NamedTuple):
    """What became of one word: its domains, each once, in the order of its parts; () unless the rule is `kept`."""

    word: str
    domains: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class Lists:
    """The reviewed lists.

    Attributes:
        words: by listed word, its code.
        patterns: a code, and the pattern of words that it covers.
    """

    words: Mapping[str, str]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    @functools.cached_property
    def longest(self) -> int:
        return max((word.count(" ") + 1 for word in self.words), default=0)

    def pattern_code(self, word: str) -> str | None:
        """The code of the first pattern that covers a folded word."""
        return next((code for code, pattern in self.patterns if pattern.fullmatch(word)), None)


@functools.cache
def packaged() -> Lists:
    """conf/lexicons/cleaning.yaml."""
    return read(conf_dir() / "lexicons" / "cleaning.yaml")


def read(path: Path) -> Lists:
    """The lists of one file.

    Raises:
        ConfigError: the file cannot be read, lacks a list or has an unknown one, or a word is misspelt or listed twice,
            or a pattern is no regular expression or matches nothing but everything; all faults at once.
    """
    found = yamlfile.read(path, _File)
    words: dict[str, str] = {}
    patterns: list[tuple[str, re.Pattern[str]]] = []
    faults: list[str] = []
    for code in LISTED:
        listed: _List = getattr(found, code)
        for word in listed.words:
            if not word or word != fold(word):
                faults.append(f"{code}: the word {word!r} must be spelt {fold(word)!r}")
            if word in words:
                faults.append(f"{code}: {word!r} stands under {words[word]} already")
            words[word] = code
        for pattern in listed.patterns:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                faults.append(f"{code}: the pattern {pattern!r} is no regular expression: {error}")
                continue
            if compiled.fullmatch("") or compiled.fullmatch("anything"):
                faults.append(f"{code}: the pattern {pattern!r} matches every word")
            patterns.append((code, compiled))
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Lists(words, tuple(patterns))


def rows(words: Iterable[str | None], lexicon: Lexicon, lists: Lists | None = None) -> Iterator[Row]:
    """A row a word, in the order given; None counts as blank.

    Args:
        words: distinct tags, hashtags or labels, as they were written.
        lexicon: what knows their domains.
        lists: what is left out; the packaged lists by default.
    """
    cleaner = _Cleaner(lexicon, lists or packaged())
    for word in words:
        yield cleaner.row(word or "")


def label_rows(lexicon: Lexicon, lookup: str = "word", lists: Lists | None = None) -> list[Row]:
    """A row for each of ImageNet's classes, by index.

    Args:
        lexicon: what knows the domains.
        lookup: `word`: by the class's first name (paper 2); `synset`: by the meaning that ImageNet gave the class, so
            that the dog `cardigan` is no garment. The lists leave out the same labels either way.
        lists: what is left out; the packaged lists by default.

    Raises:
        ConfigError: `synset`, but the lexicon's source knows no synsets.
        ValueError: another lookup.
    """
    if lookup not in ("word", "synset"):
        raise ValueError(f"labels are looked up by word or by synset, not by {lookup!r}")
    by_word = list(rows(imagenet_labels(), lexicon, lists))
    if lookup == "word":
        return by_word
    if not lexicon.classes:
        raise ConfigError(f"{lexicon.source} knows no synsets: look labels up by word")
    return [
        row if row.rule in LISTED else Row(row.word, domains[:1], KEPT if domains else NO_DOMAIN)
        for row, domains in zip(by_word, lexicon.classes, strict=True)
    ]


class _Cleaner:
    def __init__(self, lexicon: Lexicon, lists: Lists) -> None:
        self._lexicon = lexicon
        self._lists = lists
        self._longest = max(lexicon.longest, lists.longest)

    def row(self, word: str) -> Row:
        if len(word) > MAX_LENGTH:
            return Row(word, (), BLANK if not word.strip() else TOO_LONG)
        folded = fold(word)
        if not folded:
            return Row(word, (), BLANK)
        domains: dict[str, None] = {}
        dropped: list[str] = []
        for part, written in split(folded, self._find, self._longest):
            code = self._code(written)
            if code is not None:
                dropped.append(code)
            elif self._lexicon.entries[part]:
                domains.update(dict.fromkeys(self._lexicon.entries[part]))
            else:
                dropped.append(NO_DOMAIN)
        if domains:
            return Row(word, tuple(domains), KEPT)
        return Row(word, (), dropped[0] if dropped else NOT_IN_LEXICON)

    def _find(self, written: str) -> str | None:
        return written if self._code(written) is not None else self._lexicon.find(written)

    def _code(self, written: str) -> str | None:
        """The code of a folded text that is listed. A listed word covers its plural, unless that is a word of its own:
        `blues` are no colours. A pattern covers what is no phrase of the lexicon: `canon law` is no camera."""
        words, entries = self._lists.words, self._lexicon.entries
        if written in words:
            return words[written]
        if written.endswith("s") and written not in entries and written[:-1] in words:
            return words[written[:-1]]
        return None if " " in written and written in entries else self._lists.pattern_code(written)
