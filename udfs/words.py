"""Words of a caption, in any script. Runs on executors."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

# What is longer is told apart by its begin alone, so that the words of a caption are bounded in bytes, too.
LONGEST = 40

# Written without spaces between words, or nearly: Han with its iteration marks, hiragana, katakana.
_CJK = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
# Pictographs and the older symbols that are shown as such; skin tones (U+1F3FB-1F3FF) only colour what they follow.
_EMOJI = (
    "\u2190-\u21ff\u231a-\u23ff\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
)
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
# A scheme or www., or a host with a path. The quantifiers are bounded, so that the work grows with the text only.
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,20}://|(?<![a-z0-9])www\.|(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24}/)"
    rf"[^\s<>\"“”„«»，。！？、；：）】》」』…{_CJK}]*",
    re.IGNORECASE | re.ASCII,
)


def words(caption: str | None, most: int) -> list[str]:
    """The first `most` words of a caption, in order, repeats included.

    Letters, digits and the marks on them make a word (NFKC, case-folded, at most `LONGEST` characters of it); Chinese
    characters and kana are words one by one, and so are emoji: a joined sequence is taken apart, skin tones and
    variation selectors are dropped, a flag stays one. A hashtag is the words in it. URLs are dropped; punctuation and
    underscores separate. No word holds white space.

    Args:
        caption: None, blank, or without any word: [].
        most: at least 1.
    """
    if not caption:
        return []
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _URL.sub(" ", caption)).casefold())
    found: list[str] = []
    for match in _word().finditer(text):
        found.append(match[0][:LONGEST])
        if len(found) == most:
            break
    return found


@functools.cache
def _word() -> re.Pattern[str]:
    # `\w` lacks the marks without which most scripts of India and South-East Asia fall into letters. All of them are in
    # the first two planes, where U+FE00-FE0F are no marks but variation selectors.
    marks = "".join(
        chr(code)
        for code in range(0x20000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and not 0xFE00 <= code <= 0xFE0F
    )
    letter = rf"[^\W_{_CJK}]"
    return re.compile(rf"{letter}(?:{letter}|[{re.escape(marks)}])*|[{_CJK}]|{_FLAG}|[{_EMOJI}]")


def words_of(most: int) -> Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """For `mapInPandas`: the column `caption` becomes `words`, its words (`words`) with a space between; the other
    columns stay. "" where there is no word."""

    def cut(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            said = [" ".join(words(caption, most)) for caption in frame["caption"]]
            yield frame.drop(columns="caption").assign(words=pd.Series(said, index=frame.index, dtype=object))

    return cut
