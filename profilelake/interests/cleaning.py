"""What is left out of labels and tags, and by which rule (paper 2, section 3): one cleaning for both.

How a word is looked up and dropped is in `udfs.interests.cleaning`; here are the reviewed lists, and the rows of words
that the driver has, such as ImageNet's labels. The work is a row a distinct word, in plain Python; a stage joins the
rows to the tags of its users.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from profilelake import __version__, yamlfile
from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from udfs.interests.cleaning import KEPT, LISTED, NO_DOMAIN, Cleaner, Lists, Row
from udfs.interests.lexicon import Lexicon
from udfs.interests.words import fold

_REFERENCE = re.compile(r"\\[1-9]|\(\?\(")


class _List(yamlfile.Strict):
    words: list[str]
    patterns: list[str]


class _File(yamlfile.Strict):
    camera: _List
    technique: _List
    picture_type: _List
    colour: _List
    stop_word: _List


@functools.cache
def packaged() -> Lists:
    """conf/lexicons/cleaning.yaml."""
    return read(conf_dir() / "lexicons" / "cleaning.yaml")


def read(path: Path) -> Lists:
    """The lists of one file.

    Raises:
        ConfigError: the file cannot be read, lacks a list or has an unknown one, or a word is misspelt or listed twice,
            or a pattern is no regular expression, matches nothing but everything, has flags, or names or refers to
            groups; all faults at once.
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
            if compiled.flags != re.UNICODE or compiled.groupindex or _REFERENCE.search(pattern):
                faults.append(f"{code}: the pattern {pattern!r} has flags, or names or refers to groups")
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
    cleaner = Cleaner(lexicon, lists or packaged())
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


def digest(lexicon: Lexicon, lists: Lists | None = None) -> str:
    """What decides of a word, in 16 hexadecimal digits: another lexicon, other lists or another version of this code
    have another one."""
    lists = lists or packaged()
    told = hashlib.sha256(__version__.encode())
    parts: tuple[Iterable[tuple[object, object]], ...] = (
        sorted(lexicon.entries.items()),
        sorted(lexicon.irregular.items()),
        enumerate(lexicon.classes),
        sorted(lists.words.items()),
        ((code, pattern.pattern) for code, pattern in lists.patterns),
    )
    for part in parts:
        told.update(repr(list(part)).encode())
    return told.hexdigest()[:16]
