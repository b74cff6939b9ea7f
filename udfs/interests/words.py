"""How a tag or a label is spelt in the lexicon: one spelling for case, accents, hyphens and plurals."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

# WordNet's rules of detachment for nouns (morphy(7)): what a plural ends in, and its singular.
_PLURALS = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
)  # fmt: skip

# Arrows, symbols and emoji part words as a space does: people set them right behind one. What joins and varies emoji is
# silent: a zero-width joiner, a keycap, variation selectors, a flag's letters.
_SIGNS = r"©®™ℹ‼⁉〰〽㊗㊙\u2190-\u2bff\U0001f000-\U0001faff"
_SPACES = re.compile(rf"[\s_\-‐‑‒–—―+/\\,;:|·•{_SIGNS}]+")
_SILENT = re.compile(r"['’‘`´.\"“”«»!?()\[\]{}*#@&\u200d\u20e3\ufe0e\ufe0f\U000e0020-\U000e007f]+")


def fold(text: str) -> str:
    """The text as the lexicon spells it: NFC, case folded, hyphens, underscores and emoji as spaces, without
    apostrophes, full stops and other signs. A leading `#` of a hashtag goes, too."""
    text = unicodedata.normalize("NFC", text).casefold()
    return _SPACES.sub(" ", _SILENT.sub("", text)).strip()


def unaccented(word: str) -> str:
    """The word without marks above or below its letters: `cafe` for `café`."""
    marks = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(letter for letter in marks if not unicodedata.combining(letter)))


def compact(word: str) -> str:
    """The word without spaces, as sites write tags: `goldenretriever`."""
    return word.replace(" ", "")


def singulars(word: str, irregular: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What the word may be the plural of, likeliest first: irregular plurals, then WordNet's rules; of several words
    the last is inflected."""
    yield from irregular.get(word, ())
    before, space, last = word.rpartition(" ")
    if space:
        yield from (before + space + singular for singular in irregular.get(last, ()))
    if word.endswith("ss") or len(last) <= 2:
        return  # WordNet's own exception: `glass` is no plural of `glas`
    for plural, singular in _PLURALS:
        if last.endswith(plural) and len(last) > len(plural):
            yield word[: len(word) - len(plural)] + singular
