from __future__ import annotations

import pandas as pd
import pytest

from udfs.words import LONGEST, words, words_of


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("New haircut, what do YOU think?", "new haircut what do you think"),
        ("#selfie #me_and_you", "selfie me and you"),
        ("don't 3.14 1,000", "don t 3 14 1 000"),
        ("Straße NAÏVE nai\u0308ve", "strasse naïve naïve"),
        ("在家的我，今天的自拍!", "在 家 的 我 今 天 的 自 拍"),
        ("マスクの日 ｶﾞ 々", "マ ス ク の 日 ガ 々"),
        ("안녕 셀카", "안녕 셀카"),
        ("أنا في البيت مُحَمَّد", "أنا في البيت مُحَمَّد"),
        ("मैं घर पर हूँ นี่คือฉัน", "मैं घर पर हूँ นี่คือฉัน"),
        ("自拍selfie自拍", "自 拍 selfie 自 拍"),
        ("😊😊me🤳", "😊 😊 me 🤳"),
        ("👩‍👩‍👧 👍🏽 ❤️ 1️⃣ 🇩🇪🇫🇷", "👩 👩 👧 👍 ❤ 1 🇩🇪 🇫🇷"),
        ("𝓼𝓮𝓵𝓯𝓲𝓮 ｓｅｌｆｉｅ ™", "selfie selfie tm"),
        ("look http://t.cn/abc好看", "look 好 看"),
        ("see https://de.wikipedia.org/wiki/Müller?x=1#top, WWW.a.de/b bit.ly/x1 too", "see too"),
        ("at foo.bar and a/b", "at foo bar and a b"),
        ("'; DROP TABLE posts; -- <b>&amp;</b>", "drop table posts b amp b"),
        ("one\u2028two\u3000three\x00four", "one two three four"),
        ("?!… __ \u0301 \ufe0f", ""),
        ("  \u3000", ""),
        ("", ""),
    ],
)
def test_words_of_many_scripts(caption: str, expected: str) -> None:
    assert words(caption, 64) == expected.split()


def test_no_caption_has_no_word() -> None:
    assert words(None, 3) == []


def test_only_the_first_words_are_looked_at() -> None:
    assert words("a b 字 😀 c", 4) == ["a", "b", "字", "😀"]


@pytest.mark.parametrize(
    ("caption", "count"),
    [
        ("a" * 10_000, 1),
        ("字" * 10_000, 10_000),
        ("😀" * 10_000, 10_000),
        ("a." * 5_000, 5_000),
        ("a-" * 5_000, 5_000),
        ("http" * 2_500, 1),
        ("http://" + "a" * 9_993, 0),
        ("\u0301" * 10_000, 0),
        ("ﷺ" * 10_000, 30_001),
    ],
)
def test_ten_thousand_characters(caption: str, count: int) -> None:
    found = words(caption, 10**6)
    assert len(found) == count
    assert all(len(word) <= LONGEST for word in found)


def test_a_frames_captions_become_their_words() -> None:
    frame = pd.DataFrame({"post_id": ["p", "q", "r"], "caption": ["Me, me 自拍 again", None, "?"]}, index=[4, 2, 9])
    (cut,) = words_of(3)(iter([frame]))
    assert cut.to_dict("list") == {"post_id": ["p", "q", "r"], "words": ["me me 自", "", ""]}
