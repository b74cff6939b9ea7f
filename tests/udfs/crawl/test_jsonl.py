"""The jsonl format: lines, gzip that breaks anywhere, and lines of every kind."""

import gzip
import io
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from udfs.crawl.jsonl import KEYS, MAX_LINE_BYTES, Unreadable, iter_gzip_lines, iter_lines, parse_line
from udfs.crawl.records import Defaults, Fault, Record

POST = {"post_id": "1", "user_id": "2", "posted_at": "2022-10-10T13:30:10Z"}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def parse(given: Any, line: int = 3) -> Record | Fault | None:
    raw = given if isinstance(given, bytes) else json.dumps(given).encode()
    return parse_line(raw, "crawl/a.jsonl", line, Defaults("jsonl"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a", b"a\nb", b"a\n\nb\n", b"\r\na\r\n", "a\u2028b\x0bc\x85d\ne".encode()]
)
def test_lines_end_at_line_feeds_only(data: bytes, size: int) -> None:
    expected = [(number, line.removesuffix(b"\n")) for number, line in enumerate(io.BytesIO(data), 1)]
    assert list(iter_lines(pieces(data, size))) == expected


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_above_the_limit_is_dropped_in_its_place(size: int) -> None:
    found = list(iter_lines(pieces(b"ok\n" + b"x" * 11 + b"\n" + b"y" * 10 + b"\n" + b"z" * 50, size), 10))
    assert found[0] == (1, b"ok")
    assert isinstance(found[1], Unreadable)
    assert found[1].line == 2
    assert not found[1].ends
    assert found[2] == (3, b"y" * 10)
    assert isinstance(found[3], Unreadable)
    assert found[3].fault("f") == Fault("bad_json", found[3].detail, "f:4", 4)
    assert len(found) == 4


def test_gzip_is_read_in_any_cut() -> None:
    data = b"".join(b"line %d\n" % n for n in range(5000)) + b"no line feed"
    for packed in (gzip.compress(data), gzip.compress(data[:777]) + gzip.compress(data[777:]) + b"\0" * 512):
        for size in (1, 100, 70_000, 10**9):
            assert list(iter_gzip_lines(pieces(packed, size))) == list(iter_lines([data]))


def test_an_empty_gzip_has_no_lines() -> None:
    assert list(iter_gzip_lines([])) == []
    assert list(iter_gzip_lines([gzip.compress(b"")])) == []


def test_output_is_bounded_however_well_it_is_packed() -> None:
    packed = gzip.compress(b"0" * 50_000_000 + b"\nend\n")
    found = list(iter_gzip_lines([packed], max_line_bytes=1000))
    assert isinstance(found[0], Unreadable)
    assert found[1:] == [(2, b"end")]


def test_of_a_cut_gzip_the_lines_before_the_cut_count() -> None:
    dice = random.Random(1)
    lines = [b"%d %d" % (n, dice.getrandbits(200)) for n in range(400)]
    packed = gzip.compress(b"\n".join(lines) + b"\n")
    for cut in [1, 5, 10, 11, *range(12, len(packed), 97), len(packed) - 8, len(packed) - 1]:
        *whole, last = iter_gzip_lines(pieces(packed[:cut], 64))
        # What zlib itself gets out of the same bytes, in one step.
        plain = zlib.decompressobj(wbits=31).decompress(packed[:cut])
        assert whole == [(n, line) for n, line in enumerate(plain.split(b"\n")[:-1], 1)]
        assert isinstance(last, Unreadable)
        assert last.ends
        assert last.line == len(whole) + 1


@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_of_a_damaged_gzip_the_lines_before_the_damage_count(size: int) -> None:
    dice = random.Random(2)
    lines = [b"%d %d" % (n, dice.getrandbits(200)) for n in range(400)]
    packed = bytearray(gzip.compress(b"\n".join(lines) + b"\n"))
    packed[-8] ^= 1  # the checksum: all lines are there, and then it breaks
    *whole, last = iter_gzip_lines(pieces(bytes(packed), size))
    assert whole == list(enumerate(lines, 1))
    assert isinstance(last, Unreadable)
    assert last.line == 401
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    *whole, last = iter_gzip_lines(pieces(bytes(packed), size))
    assert len(whole) >= 150
    assert whole[:150] == list(enumerate(lines, 1))[:150]
    assert isinstance(last, Unreadable)
    assert last.ends


def test_no_gzip_and_garbage_behind_a_member() -> None:
    (only,) = iter_gzip_lines([b'{"a": 1}\n'])
    assert isinstance(only, Unreadable)
    assert (only.line, only.ends) == (1, True)
    first, last = iter_gzip_lines([gzip.compress(b"a\n") + b"garbage"])
    assert first == (1, b"a")
    assert isinstance(last, Unreadable)
    assert last.line == 2


@pytest.mark.parametrize("raw", [b"", b" ", b"\r", b" \t\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r"])
def test_blank_lines_are_no_records(raw: bytes) -> None:
    assert parse(raw) is None


def test_a_line_with_everything() -> None:
    found = parse(
        {
            "post_id": 12345678901234567890,
            "user_id": "ann",
            "posted_at": 1665408610.25,
            "source": "flickr",
            "relation": "favourite",
            "owner_id": 7,
            "caption": "Sea \ud83d\ude00 #Sun",
            "hashtags": ["Beach Day"],
            "tags": ["sea"],
            "board": "Holidays",
            "likes": "12",
            "comments": 3.0,
            "crawled_at": "2022-10-11T00:00:00+02:00",
            "images": ["a/1.jpg", "a/2.jpg"],
            "colour": "blue",
            "url": "x",
        }
    )
    assert isinstance(found, Record)
    assert found.post_id == "flickr:12345678901234567890:favourite:flickr:ann"
    assert found.owner_id == "flickr:7"
    assert found.posted_at.isoformat() == "2022-10-10T13:30:10.250000+00:00"
    assert found.caption == "Sea 😀 #Sun"
    assert found.hashtags == ["sun", "beachday"]
    assert (found.tags, found.board, found.likes, found.comments) == (["sea"], "Holidays", 12, 3)
    assert found.crawled_at is not None
    assert found.crawled_at.isoformat() == "2022-10-10T22:00:00+00:00"
    assert found.images == [(0, "a/1.jpg"), (1, "a/2.jpg")]
    assert found.unknown_keys == 2
    assert found.url is None
    assert (found.source_ref, found.line) == ("crawl/a.jsonl:3", 3)
    assert not found.part


def test_a_bom_and_windows_line_ends_are_ignored() -> None:
    plain = json.dumps(POST).encode()
    assert parse(b"\xef\xbb\xbf" + plain + b"\r") == parse(plain)
    assert isinstance(parse(plain), Record)


def test_lone_surrogates_become_replacement_characters() -> None:
    found = parse(b'{"post_id": "p\\ud800", "user_id": "u", "posted_at": 1, "caption": "\\udc00 \\ud83d\\ude00"}')
    assert isinstance(found, Record)
    assert found.post_id == "jsonl:p\ufffd"
    assert found.caption == "\ufffd 😀"
    found.caption.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "bad_json"),
        (b"[1]", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"post_id": NaN}', "bad_json"),
        (b'{"post_id": "1", "post_id": "1"}', "bad_json"),
        (b'{"post_id": "\x00"}', "bad_json"),
        (b"\x0b", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"{}", "missing_field"),
        (b'{"post_id": " ", "user_id": "1", "posted_at": "x"}', "missing_field"),
        (b'{"post_id": "1", "user_id": "1", "posted_at": "x", "likes": "x"}', "bad_timestamp"),
        (b'{"post_id": "1", "user_id": "1", "posted_at": 1, "likes": "x"}', "bad_value"),
    ],
)
def test_faults_are_rows_with_a_place(raw: bytes, reason: str) -> None:
    found = parse(raw, 9)
    assert isinstance(found, Fault)
    assert (found.reason, found.record_id, found.line) == (reason, "crawl/a.jsonl:9", 9)


def test_a_line_beyond_the_limit_is_not_parsed() -> None:
    found = parse(b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}')
    assert isinstance(found, Fault)
    assert found.reason == "bad_json"


def test_nothing_that_a_file_may_hold_raises() -> None:
    dice = random.Random(4)
    line = bytearray(
        json.dumps({**POST, "caption": "é😀 #Tag", "likes": 3, "images": ["a.jpg"], "tags": ["x"]}).encode()
    )
    outcomes = set()
    for _ in range(4000):
        mutated = bytearray(line)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(mutated))
            match dice.randrange(4):
                case 0:
                    mutated[at] = dice.randrange(256)
                case 1:
                    del mutated[at : at + dice.randrange(1, 9)]
                case 2:
                    mutated[at:at] = dice.choice(
                        [b"\\ud800", b"null", b"[", b'"', b"1e999", b"-", b"\xff", b"{}", b",,"]
                    )
                case _:
                    del mutated[at:]
            mutated = mutated or bytearray(b" ")
        found = parse(bytes(mutated))
        outcomes.add(type(found))
        assert found is None or isinstance(found, Record | Fault)
    assert {Record, Fault} <= outcomes


def test_the_keys_are_those_of_the_format() -> None:
    found = parse({**POST, **dict.fromkeys(KEYS - POST.keys())})
    assert isinstance(found, Record)
    assert found.unknown_keys == 0
