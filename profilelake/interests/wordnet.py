"""WordNet's nouns, read from the files of its release 3.0: words, senses, hypernyms, frequencies, irregular plurals.

Only the build of a lexicon reads them; nothing here runs in a stage. The formats are those of WordNet's manual pages
wndb(5), cntlist(5) and morphy(7).
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from profilelake.errors import ConfigError

Parsed = TypeVar("Parsed")

# Of the most frequent sense's count; a sense with as much of it is a key sense.
KEY_SHARE = 0.5

FILES = ("index.noun", "data.noun", "cntlist.rev", "noun.exc")


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Attributes:
        offset: eight digits, the synset's name in this release.
        words: its words in WordNet's order and spelling, with spaces.
        parents: offsets of its hypernyms, and of what it is an instance of.
    """

    offset: str
    words: tuple[str, ...]
    parents: tuple[str, ...]


@dataclass(frozen=True)
class WordNet:
    """The nouns.

    Attributes:
        synsets: by offset.
        senses: by word (lower case, with spaces) its synsets, most frequent first.
        counts: by word, how often each of its senses was met in WordNet's tagged texts, in the order of `senses`.
        plurals: by irregular plural, its singulars.
    """

    synsets: Mapping[str, Synset]
    senses: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, tuple[int, ...]]
    plurals: Mapping[str, tuple[str, ...]]

    def sense(self, name: str) -> str | None:
        """The offset of `word.number`, such as `dog.1`, its first sense; None where there is none."""
        word, _, number = name.rpartition(".")
        senses = self.senses.get(word, ())
        return senses[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(senses) else None

    def key_senses(self, word: str) -> list[str]:
        """Offsets of a word's first sense and of those met at least half as often: the counterpart of BabelNet's key
        concepts, which WordNet has not."""
        offsets, counts = self.senses[word], self.counts[word]
        enough = max(1.0, KEY_SHARE * max(counts))
        return [offset for at, offset in enumerate(offsets) if at == 0 or counts[at] >= enough]

    @functools.cached_property
    def _below(self) -> dict[str, list[str]]:
        below: dict[str, list[str]] = {}
        for synset in self.synsets.values():
            for parent in synset.parents:
                below.setdefault(parent, []).append(synset.offset)
        return below

    def kinds(self, offset: str) -> int:
        """How many synsets are kinds or instances of it, at any depth."""
        seen: set[str] = set()
        waiting = [offset]
        while waiting:
            for child in self._below.get(waiting.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return len(seen)

    def above(self, offset: str) -> Iterator[str]:
        """The synset itself, then its hypernyms, nearest first; each once, those of one distance in WordNet's order."""
        seen = {offset}
        waiting = deque([offset])
        while waiting:
            current = waiting.popleft()
            yield current
            for parent in self.synsets[current].parents:
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)


def read(folder: Path) -> WordNet:
    """The nouns of the WordNet files in `folder`.

    Raises:
        ConfigError: a file is missing, or a line of it is not in WordNet's format.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"{folder} lacks WordNet's {', '.join(missing)}; docs/interests.md says where they come from")
    synsets = dict(_lines(folder / "data.noun", _synset))
    counts = dict(_lines(folder / "cntlist.rev", _count))
    senses = dict(_lines(folder / "index.noun", _senses))
    return WordNet(
        synsets=synsets,
        senses=senses,
        counts={
            word: tuple(counts.get((word, number), 0) for number in range(1, len(offsets) + 1))
            for word, offsets in senses.items()
        },
        plurals=dict(_lines(folder / "noun.exc", _plural)),
    )


def _lines(path: Path, parse: Callable[[str], Parsed | None]) -> Iterator[Parsed]:
    """What `parse` makes of each line; WordNet's licence stands before, behind two spaces."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("  "):
                continue
            try:
                found = parse(line.rstrip())
            except (ValueError, IndexError) as error:
                raise ConfigError(f"{path} line {number}: not in WordNet's format") from error
            if found is not None:
                yield found


def _synset(line: str) -> tuple[str, Synset]:
    parts = line.partition(" | ")[0].split()
    n_words = int(parts[3], 16)
    words = tuple(word.replace("_", " ") for word in parts[4 : 4 + 2 * n_words : 2])
    at = 5 + 2 * n_words
    pointers = [tuple(parts[at + 4 * i : at + 4 * i + 3]) for i in range(int(parts[at - 1]))]
    return parts[0], Synset(
        offset=parts[0],
        words=words,
        parents=tuple(offset for kind, offset, pos in pointers if kind in ("@", "@i") and pos == "n"),
    )


def _senses(line: str) -> tuple[str, tuple[str, ...]]:
    parts = line.split()
    return parts[0].replace("_", " "), tuple(parts[-int(parts[2]) :])


def _count(line: str) -> tuple[tuple[str, int], int] | None:
    key, number, count = line.split()
    word, _, rest = key.partition("%")
    return ((word.replace("_", " "), int(number)), int(count)) if rest.startswith("1:") else None


def _plural(line: str) -> tuple[str, tuple[str, ...]]:
    plural, *singulars = line.split()
    return plural.replace("_", " "), tuple(word.replace("_", " ") for word in singulars)
