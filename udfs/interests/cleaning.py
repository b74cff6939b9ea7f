"""What is left out of labels and tags, and by which rule (paper 2, section 3). Runs on executors.

In order: folding (`words.fold`), the reviewed lists on the whole text, the lexicon on the whole text, then the longest
parts from the left, each through the lists and the lexicon. The lists come before the lexicon only to tell a better
rule: what they hold is left out either way.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from udfs.interests.lexicon import Lexicon, split
from udfs.interests.words import fold

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

CLEANED_DDL = "word string, domains array<string>, rule string"

Mapper = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


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
        patterns: a code, and the pattern of words that it covers. They are tried in one: none has flags of its own,
            names groups or refers to them.
    """

    words: Mapping[str, str]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    @functools.cached_property
    def longest(self) -> int:
        return max((word.count(" ") + 1 for word in self.words), default=0)

    @functools.cached_property
    def _any(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern.pattern})" for _, pattern in self.patterns) or "(?!)")

    def pattern_code(self, word: str) -> str | None:
        """The code of the first pattern that covers a folded word."""
        if self._any.fullmatch(word) is None:  # most words; one look instead of one a pattern
            return None
        return next(code for code, pattern in self.patterns if pattern.fullmatch(word))


class Cleaner:
    """Looks words up in a lexicon, through the lists."""

    def __init__(self, lexicon: Lexicon, lists: Lists) -> None:
        self._lexicon = lexicon
        self._lists = lists
        self._longest = max(lexicon.longest, lists.longest)

    def row(self, word: str) -> Row:
        """What becomes of a word, as it was written."""
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


def cleaner(held: Any) -> Mapper:
    """For `mapInArrow` over (word): (word, domains, rule), see CLEANED_DDL; a row a row, in their order. NULL is blank.

    Args:
        held: a broadcast of (Lexicon, Lists).
    """

    def clean(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found: Cleaner | None = None
        for batch in batches:
            if not batch.num_rows:
                continue
            # not before: unpacking the lexicon takes longer than a partition without words does
            found = found or Cleaner(*held.value)
            rows = [found.row(word or "") for word in batch.column("word").to_pylist()]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([row.word for row in rows], pa.string()),
                    pa.array([row.domains for row in rows], pa.list_(pa.string())),
                    pa.array([row.rule for row in rows], pa.string()),
                ],
                names=["word", "domains", "rule"],
            )

    return clean
