"""The rules for single values, the order of faults, and pseudonyms."""

import hashlib
import hmac
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from udfs.crawl.records import (
    REASONS,
    Bad,
    Defaults,
    Fault,
    Record,
    as_count,
    as_id,
    as_time,
    build,
    load_object,
    post_id_of,
    pseudonym,
    pseudonymise,
)

NEEDED = {"post_id": "p1", "user_id": "u1", "posted_at": 1_600_000_000}


def built(**fields: Any) -> Record | Fault:
    return build({**NEEDED, **fields}, file="crawl/a.jsonl", line=7, defaults=Defaults("site"))


def record(**fields: Any) -> Record:
    found = built(**fields)
    assert isinstance(found, Record), found
    return found


def fault(**fields: Any) -> Fault:
    found = built(**fields)
    assert isinstance(found, Fault), found
    assert found.record_id == "crawl/a.jsonl:7"
    return found


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_numbers_keep_every_digit() -> None:
    read = load_object(b'{"a": 12345678901234567890123, "b": 0.1000000000000000055, "c": 1e3}')
    assert read == {"a": 12345678901234567890123, "b": Decimal("0.1000000000000000055"), "c": Decimal(1000)}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b"{",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\x01"}',
        b'{"a": "line\nbreak"}',
        b'{"a": "tab\there"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',  # a surrogate in UTF-8 form is no UTF-8
        b'{"a": 1} {"b": 2}',
        b'{"a": 1, "a": 2}',
        b'{"x": {"a": 1, "a": 1}}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 01}',
        b'{"a": .5}',
        b"\xa0{}",
        b'{"a":' * 201 + b"1" + b"}" * 201,
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_object(raw: bytes) -> None:
    with pytest.raises(Bad) as caught:
        load_object(raw)
    assert caught.value.reason == "bad_json"


def test_brackets_in_text_and_many_siblings_are_not_depth() -> None:
    assert load_object(b'{"a": "' + b"[{" * 5000 + b'"}') == {"a": "[{" * 5000}
    assert load_object(b'{"a": "\\"' + b"[{" * 500 + b'"}') == {"a": '"' + "[{" * 500}
    assert load_object(b'{"a": [' + b"[]," * 5000 + b"[]]}") == {"a": [[] for _ in range(5001)]}
    assert load_object(b'{"a":' * 200 + b"1" + b"}" * 200)


def test_huge_numbers_are_read_and_refused_where_they_are_used() -> None:
    digits = b"9" * 100_000
    read = load_object(b'{"a": ' + digits + b', "b": 1e999999999999999999999, "c": 1e-999999999}')
    for value in read.values():
        for rule in (as_id, as_count):
            with pytest.raises(Bad) as caught:
                rule(value)
            assert caught.value.reason == "bad_value"
    with pytest.raises(Bad, match="1970-2100"):
        as_time(read["a"])
    with pytest.raises(Bad, match="1970-2100"):
        as_time(read["b"])
    assert as_time(read["c"]) == datetime(1970, 1, 1, tzinfo=UTC)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("abc", "abc"),
        (" spaced ", " spaced "),
        (0, "0"),
        (-5, "-5"),
        (2**200, str(2**200)),
        (Decimal("12.0"), "12"),
        (Decimal("-0.0"), "0"),
        (Decimal("1e3"), "1000"),
        (12.0, "12"),
        (np.int64(9), "9"),
        (None, None),
        ("", None),
        (" \t ", None),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_ids(value: Any, expected: str | None) -> None:
    assert as_id(value) == expected


@pytest.mark.parametrize(
    "value",
    [True, False, 1.5, Decimal("0.1"), [], ["1"], {}, float("nan"), float("inf"), 1e300, b"1", Decimal("1e500")],
)
def test_no_ids(value: Any) -> None:
    with pytest.raises(Bad) as caught:
        as_id(value)
    assert caught.value.reason == "bad_value"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (None, False)),
        (0, (0, False)),
        (12, (12, False)),
        ("12", (12, False)),
        ("12.0", (12, False)),
        ("+3", (3, False)),
        (12.0, (12, False)),
        (Decimal("12.000"), (12, False)),
        (-1, (None, True)),
        ("-1", (None, True)),
        (2**63 - 1, (2**63 - 1, False)),
    ],
)
def test_counts(value: Any, expected: tuple[int | None, bool]) -> None:
    assert as_count(value) == expected


@pytest.mark.parametrize("value", [True, 1.5, "1.5", "", " 12", "1,200", "1e3", "١٢", "many", [], {}, 2**63, "9" * 30])
def test_no_counts(value: Any) -> None:
    with pytest.raises(Bad) as caught:
        as_count(value)
    assert caught.value.reason == "bad_value"


MOMENT = datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2022-10-10T13:30:10Z", MOMENT),
        ("2022-10-10t13:30:10z", MOMENT),
        ("2022-10-10 13:30:10+00:00", MOMENT),
        ("2022-10-10T15:30:10+02:00", MOMENT),
        ("2022-10-10T15:30:10+0200", MOMENT),
        ("2022-10-10T15:30:10+02", MOMENT),
        ("2022-10-10T03:00:10-10:30", MOMENT),
        ("20221010T133010Z", MOMENT),
        ("2022-W41-1T13:30:10Z", MOMENT),
        ("2022-10-10T13:30Z", MOMENT.replace(second=0)),
        ("2022-10-10T13:30:10.5Z", MOMENT.replace(microsecond=500_000)),
        ("2022-10-10T13:30:10,123456789Z", MOMENT.replace(microsecond=123_456)),
        (1665408610, MOMENT),
        ("1665408610", MOMENT),
        ("1665408610.25", MOMENT.replace(microsecond=250_000)),
        (Decimal("1665408610.1234569"), MOMENT.replace(microsecond=123_456)),
        (Decimal("1665408610." + "9" * 70), MOMENT.replace(microsecond=999_999)),
        (1665408610.5, MOMENT.replace(microsecond=500_000)),
        (MOMENT.astimezone(timezone(timedelta(hours=-7))), MOMENT),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:00:00-01:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2101-01-01T00:30:00+01:00", datetime(2100, 12, 31, 23, 30, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times(value: Any, expected: datetime | None) -> None:
    found = as_time(value)
    assert found == expected
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "2022-10-10T13:30:10",
        "2022-10-10",
        "20221010",
        "2022-10-10T13:30:10 +00:00",
        "2022-13-10T13:30:10Z",
        "2022-02-30T13:30:10Z",
        "2022-10-10T25:00:00Z",
        "2022-10-10T13:30:60Z",
        "2022-10-10T13:30:10+25:00",
        "10/10/2022 13:30Z",
        "２０２２-10-10T13:30:10Z",
        "yesterday",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31T23:59:59Z",
        "2101-01-01T00:00:00Z",
        -1,
        4_133_980_800,
        1_665_408_610_000,  # milliseconds
        "1665408610000",
        True,
        [],
        {},
        float("nan"),
        float("inf"),
        datetime(2022, 10, 10),
    ],
)
def test_no_times(value: Any) -> None:
    with pytest.raises(Bad) as caught:
        as_time(value)
    assert caught.value.reason == "bad_timestamp"


def test_random_instants_in_every_notation() -> None:
    dice = random.Random(5)
    for _ in range(500):
        micros = dice.randrange(4_133_980_800 * 1_000_000)
        expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        zone = timezone(timedelta(minutes=dice.randrange(-12 * 60, 14 * 60)))
        assert as_time(expected.isoformat()) == expected
        if 1970 < expected.year < 2100:
            assert as_time(expected.astimezone(zone).isoformat(" ")) == expected
        assert as_time(Decimal(micros) / 1_000_000) == expected


# --- a record ---------------------------------------------------------------------------------------------------------


def test_a_record_of_nothing_but_what_is_required() -> None:
    assert record() == Record(
        post_id="site:p1",
        native_post_id="p1",
        source="site",
        relation="posted",
        user_id="site:u1",
        user_name=None,
        owner_id=None,
        owner_name=None,
        followers=None,
        posted_at=datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC),
        caption=None,
        hashtags=[],
        tags=None,
        board=None,
        likes=None,
        comments=None,
        hidden_likes=False,
        url=None,
        crawled_at=None,
        images=[],
        n_images=0,
        source_ref="crawl/a.jsonl:7",
        line=7,
    )


def test_null_is_absent_everywhere() -> None:
    nothing = dict.fromkeys(
        [
            "source",
            "relation",
            "owner_id",
            "caption",
            "hashtags",
            "tags",
            "board",
            "likes",
            "comments",
            "crawled_at",
            "images",
        ]
    )
    assert record(**nothing) == record()


def test_captions_stay_as_they_are() -> None:
    for caption in ("", "  \n", "a\u2028b\r\n\u0000", "cafe\u0301", "\U0001f600"):
        assert record(caption=caption).caption == caption
    assert record(caption="a\ud83db\udc00").caption == "a\ufffdb\ufffd"


def test_tags_null_and_empty_differ_and_hashtags_are_never_null() -> None:
    assert record(tags=None).tags is None
    assert record(tags=[]).tags == []
    assert record(tags=["New York", "", "A", "A", None]).tags == ["New York", "", "A", "A"]
    assert record(hashtags=None).hashtags == []
    assert record(hashtags=["#Z"], caption="#a").hashtags == ["a", "z"]


def test_topics_belong_to_weibo_only() -> None:
    assert record(caption="#a b#", source="weibo").hashtags == ["a b"]
    assert record(caption="#a b#", source="other").hashtags == ["a"]


def test_listed_pictures_keep_their_positions() -> None:
    found = record(images=["a.jpg", None, "../b.jpg"])
    assert found.images == [(0, "a.jpg"), (2, "../b.jpg")]
    assert found.n_images == 2


def test_hidden_counts() -> None:
    found = record(likes=-1, comments=5)
    assert (found.likes, found.comments, found.hidden_likes) == (None, 5, True)
    assert record(likes=0).hidden_likes is False


def test_a_favourite_belongs_to_who_favourites() -> None:
    found = record(relation="favourite", owner_id="o9", source="flickr")
    assert found.post_id == "flickr:p1:favourite:flickr:u1"
    assert (found.user_id, found.owner_id, found.native_post_id) == ("flickr:u1", "flickr:o9", "p1")
    assert found.post_id == post_id_of("flickr", "p1", "favourite", "flickr:u1")


def test_a_name_stands_for_an_id_that_is_not_known() -> None:
    found = record(user_id=None, user_name="ann", owner_name="bob")
    assert (found.user_id, found.user_name) == ("site:@ann", "ann")
    assert (found.owner_id, found.owner_name) == ("site:@bob", "bob")
    assert record(user_id="@ann").user_name == "ann"
    assert record(user_id="5", user_name="ann").user_id == "site:5"
    assert record(user_id="@").user_name is None


@pytest.mark.parametrize("field", ["post_id", "user_id", "posted_at"])
@pytest.mark.parametrize("value", [None, "", "  \t"])
def test_missing_fields(field: str, value: Any) -> None:
    found = fault(**{field: value})
    assert found.reason == "missing_field"
    assert field in found.detail
    assert found.user_id == (None if field == "user_id" else "site:u1")


@pytest.mark.parametrize(
    "fields",
    [
        {"post_id": [1]},
        {"post_id": True},
        {"user_id": 1.5},
        {"user_id": {"id": 1}},
        {"owner_id": []},
        {"relation": "liked"},
        {"relation": ""},
        {"relation": ["posted"]},
        {"source": "Flickr"},
        {"source": ""},
        {"source": "a-b"},
        {"source": "flickr\n"},
        {"source": 5},
        {"caption": 12},
        {"caption": ["a"]},
        {"board": {}},
        {"hashtags": "#a #b"},
        {"hashtags": ["a", 1]},
        {"tags": "a b"},
        {"tags": [["a"]]},
        {"likes": "many"},
        {"likes": 1.5},
        {"comments": True},
        {"images": "a.jpg"},
        {"images": [1]},
        {"images": {"0": "a.jpg"}},
    ],
)
def test_bad_values(fields: dict[str, Any]) -> None:
    found = fault(**fields)
    assert found.reason == "bad_value"
    assert next(iter(fields)) in found.detail


@pytest.mark.parametrize("fields", [{"posted_at": "2022-10-10T13:30:10"}, {"crawled_at": "soon"}, {"crawled_at": ""}])
def test_bad_timestamps(fields: dict[str, Any]) -> None:
    found = fault(**fields)
    assert found.reason == "bad_timestamp"
    assert next(iter(fields)) in found.detail


def test_of_two_faults_the_first_in_the_order_of_the_reasons() -> None:
    assert REASONS == ("bad_json", "missing_field", "bad_timestamp", "bad_value")
    bad = {"missing_field": {"post_id": ""}, "bad_timestamp": {"crawled_at": "x"}, "bad_value": {"likes": "x"}}
    for first in bad:
        for second in bad:
            expected = min(first, second, key=REASONS.index)
            assert fault(**bad[first], **bad[second]).reason == expected if first != second else True


def test_a_fault_says_whose_record_it_is_and_quotes_nobody() -> None:
    found = fault(likes="secret words", caption=["secret words"])
    assert found.user_id == "site:u1"
    assert "secret" not in found.detail


def test_no_values_of_any_kind_raise() -> None:
    dice = random.Random(3)
    values: list[Any] = [
        None, "", "x", "12", "2022-10-10T13:30:10Z", 0, -1, 2**70, 1.5, float("nan"), True, [], ["a"], [None, 1], {},
        {"a": []}, Decimal("NaN"), Decimal("1e999999"), b"bytes", object(), "\ud800", "#a\ud800", (), np.float64(2),
        datetime(2022, 1, 1),
    ]  # fmt: skip
    names = [
        "post_id",
        "user_id",
        "posted_at",
        "source",
        "relation",
        "owner_id",
        "caption",
        "hashtags",
        "tags",
        "board",
    ]
    names += ["likes", "comments", "crawled_at", "images", "user_name", "owner_name", "followers", "url"]
    seen = set()
    for _ in range(5000):
        fields = {name: dice.choice(values) for name in names if dice.random() < 0.3}
        found = built(**fields)
        seen.add(found.reason if isinstance(found, Fault) else "record")
        assert not isinstance(found, Record) or found.n_images == len(found.images)
    assert seen == {"record", "missing_field", "bad_timestamp", "bad_value"}


# --- pseudonyms -------------------------------------------------------------------------------------------------------


def test_a_pseudonym_is_the_keyed_hash_behind_the_source() -> None:
    expected = hmac.new(b"key", b"flickr:12@N00", hashlib.sha256).hexdigest()
    assert pseudonym("flickr:12@N00", b"key") == f"flickr:{expected}"
    assert pseudonym("flickr:12@N00", b"other") != pseudonym("flickr:12@N00", b"key")
    with pytest.raises(ValueError, match="key is empty"):
        pseudonym("flickr:1", b"")


def test_pseudonymise_hides_every_place_that_names_a_user() -> None:
    found = record(
        relation="favourite",
        user_id="uuu",
        user_name="ann",
        owner_id="ooo",
        owner_name="bob",
        url="https://x.org/ann/p1",
    )
    hidden = pseudonymise(found, b"key")
    assert hidden.user_id == pseudonym("site:uuu", b"key")
    assert hidden.owner_id == pseudonym("site:ooo", b"key")
    assert hidden.post_id == f"site:p1:favourite:{hidden.user_id}"
    for secret in ("uuu", "ooo", "ann", "bob"):
        assert secret not in repr(hidden)
    assert pseudonymise(fault(likes="x"), b"key").user_id == pseudonym("site:u1", b"key")
    assert pseudonymise(fault(user_id=None), b"key").user_id is None
