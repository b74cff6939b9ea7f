"""Hashtags of a caption. Runs on executors."""

import re
import unicodedata

# Where a URL may end inside a run of text without spaces: quotes, angle brackets, and full-width punctuation.
_URL_END = re.compile(r"[<>\"“”„«»，。！？、；：）】》」』…]")
_URL_START = re.compile(r"(?<=[A-Za-z])://|(?<![A-Za-z0-9])www\.", re.IGNORECASE)
_BARE_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[a-z]{2,24}")
_OPENING = "([{<\"'“‘«"
# On Weibo a hashtag is closed: #topic#. Neither end of it is white space, so that an unclosed # does not swallow text.
_TOPIC_MAX = 140


def normalise(tag: str) -> str:
    """NFC and case-folded; NFC again, since folding may take letters apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", tag).casefold())


def clean_hashtag(tag: str) -> str:
    """A record's own hashtag without white space and leading `#`, normalised; "" when nothing is left."""
    return normalise("".join(tag.split()).lstrip("#"))


def hashtags_in(caption: str, topics: bool = False) -> list[str]:
    """The hashtags of a caption in order, repeats included, without `#`, NFC-normalised and case-folded.

    A hashtag is `#`, then a Unicode letter (L*), decimal digit (Nd) or underscore, then letters, digits, underscores
    or combining marks (M*), and does not lie inside a URL. With `topics` (Weibo), text between two `#` on one line is
    a hashtag as a whole.
    """
    found: list[str] = []
    urls = _urls(caption) if "#" in caption else []
    passed = 0
    at = caption.find("#")
    while at >= 0:
        while passed < len(urls) and urls[passed][1] <= at:
            passed += 1
        if passed < len(urls) and urls[passed][0] <= at:
            at = caption.find("#", urls[passed][1])
            continue
        end = _topic_end(caption, at) if topics else None
        if end is not None:
            tag, after = caption[at + 1 : end], end + 1
        else:
            after = _tag_end(caption, at + 1)
            tag = caption[at + 1 : after]
        if tag:
            found.append(normalise(tag))
        at = caption.find("#", after)
    return found


def _tag_end(text: str, start: int) -> int:
    end = start
    while end < len(text):
        character = text[end]
        kind = unicodedata.category(character)
        if not (kind[0] == "L" or kind == "Nd" or character == "_" or (end > start and kind[0] == "M")):
            break
        end += 1
    return end


def _topic_end(text: str, at: int) -> int | None:
    end = text.find("#", at + 1, at + 2 + _TOPIC_MAX)
    topic = text[at + 1 : end] if end > 0 else ""
    return end if topic and topic == topic.strip() and "\n" not in topic else None


def _urls(text: str) -> list[tuple[int, int]]:
    """(start, end) of the URLs that hold a `#`, found word by word, so that the work grows with the text only."""
    found: list[tuple[int, int]] = []
    for word in re.finditer(r"\S+", text):
        if "#" not in word[0]:
            continue
        # A scheme or www. opens a URL anywhere in a word, a bare host with a path only at the word's begin.
        for opening in _URL_START.finditer(word[0]):
            if not found or found[-1][1] <= word.start() + opening.start():
                found.append(_extent(word, opening.start()))
        host = word[0].lstrip(_OPENING)
        begin = len(word[0]) - len(host)
        name, slash, _ = host.partition("/")
        if slash and _BARE_HOST.fullmatch(name):
            found.append(_extent(word, begin))
    return sorted(found)


def _extent(word: re.Match[str], start: int) -> tuple[int, int]:
    end = _URL_END.search(word[0], start)
    return word.start() + start, word.start() + (end.start() if end else len(word[0]))
