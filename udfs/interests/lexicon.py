"""Words and their domains, and how what people write is found among them. Runs on executors, too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from udfs.interests.words import compact, fold, singulars, unaccented


@dataclass(frozen=True)
class Lexicon:
    """Words and their domains.

    Attributes:
        source: where it is from, for people.
        entries: by word, its domains; () for a word that names no interest.
        irregular: by irregular plural, its singulars.
        classes: by ImageNet class index, the domains of the class's synset, best first (at most 3); empty where a
            source knows no synsets.
    """

    source: str
    entries: Mapping[str, tuple[str, ...]]
    irregular: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classes: Sequence[tuple[str, ...]] = ()

    @functools.cached_property
    def longest(self) -> int:
        """How many words the longest entry has."""
        return max((word.count(" ") + 1 for word in self.entries), default=0)

    @functools.cached_property
    def _compact(self) -> dict[str, str]:
        return {compact(word): word for word in sorted(self.entries, reverse=True) if " " in word}

    def find(self, word: str) -> str | None:
        """The entry that a folded word stands for: itself, its singular, without accents, or the words that a site has
        written without spaces; None where there is none."""
        for spelling in (word, unaccented(word)) if not word.isascii() else (word,):
            if spelling in self.entries:
                return spelling
            for singular in singulars(spelling, self.irregular):
                if singular in self.entries:
                    return singular
            joined = compact(spelling)
            for whole in (joined, *singulars(joined, self.irregular)):
                if whole in self._compact:
                    return self._compact[whole]
                if joined != spelling and whole in self.entries:
                    return whole
        return None

    def domains_of(self, word: str) -> tuple[str, ...]:
        """Domains of a word as anybody writes it, or of the longest entries that it is made of, read from the left."""
        folded = fold(word)
        found: dict[str, None] = {}
        for part, _ in split(folded, self.find, self.longest):
            found.update(dict.fromkeys(self.entries[part]))
        return tuple(found)


def split(folded: str, find: Callable[[str], str | None], longest: int) -> list[tuple[str, str]]:
    """The text whole, else greedily from the left the longest parts of it that `find` knows; what it doesn't know is
    passed over. Each part as found and as written."""
    whole = find(folded) if folded else None
    if whole is not None:
        return [(whole, folded)]
    tokens = folded.split(" ")
    parts: list[tuple[str, str]] = []
    at = 0
    while at < len(tokens):
        for end in range(min(len(tokens), at + longest), at, -1):
            written = " ".join(tokens[at:end])
            found = find(written)
            if found is not None:
                parts.append((found, written))
                at = end
                break
        else:
            at += 1
    return parts
