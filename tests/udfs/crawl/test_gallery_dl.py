"""The gallery_dl format.

Files and fields are those of github.com/mikf/gallery-dl:
- `gallery_dl/postprocessor/metadata.py`: `MetadataPP._filename` writes `x.jpg.json`, `_filename_extfmt` `x.json`;
  `_write_json` uses `util.json_default`, that is `str(datetime)`: "2016-05-01 10:03:33", UTC.
- `gallery_dl/extractor/flickr.py`: `FlickrAPI._extract_format` ("id", "owner": {"nsid", "username", "path_alias"},
  "title", "description", "tags", "views", "dateupload", "date", "media"), `FlickrExtractor.metadata` ("user"),
  `FlickrFavoriteExtractor` (subcategory "favorite"); values after `test/results/flickr.py`.
- `gallery_dl/extractor/pinterest.py`: `PinterestExtractor.items` ("num", "count", the pin), `PinterestBoardExtractor`
  ("board"), `PinterestCreatedExtractor` ("user": a name).
- `gallery_dl/extractor/instagram.py`: `_parse_post_rest` ("post_shortcode", "likes", "description", "tags", "owner_id",
  "username", "post_date", "post_url", "type", "num", "video_url"), stories: "type" "story" or "highlight".
- `gallery_dl/extractor/weibo.py`: `WeiboExtractor.items` ("status", "num"; status["created_at"] as
  "%a %b %d %H:%M:%S %z %Y").
"""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from udfs.crawl.gallery_dl import MAX_JSON_BYTES, group_key, parse_metadata, strip_html
from udfs.crawl.records import Fault, Ignored, Record

FLICKR: dict[str, Any] = {
    "category": "flickr",
    "subcategory": "user",
    "id": 26140204724,
    "owner": {"nsid": "23965455@N05", "username": "philippe baumgart", "path_alias": "sgu_"},
    "user": {"nsid": "23965455@N05", "username": "philippe baumgart", "path_alias": "sgu_"},
    "title": "Morning",
    "description": "By the river #Fog",
    "tags": ["fog", "river"],
    "views": 100,
    "dateupload": "1462097013",
    "date": "2016-05-01 10:03:33",
    "media": "photo",
    "extension": "jpg",
    "filename": "26140204724_x_b_d",
}
PIN: dict[str, Any] = {
    "category": "pinterest",
    "subcategory": "board",
    "id": "858146903966145189",
    "pinner": {"id": "11", "username": "g1952849"},
    "native_creator": {"id": "77", "username": "maker"},
    "board": {"id": "5", "name": "Stuff", "owner": {"id": "11", "username": "g1952849"}},
    "description": "Red chair #Design",
    "grid_title": "Chair",
    "title": "",
    "created_at": "Tue, 01 Jan 2019 12:34:56 +0000",
    "reaction_counts": {"1": 4, "7": 2},
    "comment_count": 3,
    "num": 1,
    "count": 1,
    "extension": "jpg",
}
INSTAGRAM: dict[str, Any] = {
    "category": "instagram",
    "subcategory": "posts",
    "post_id": "1875629777499953996",
    "post_shortcode": "BoHk1haB5tM",
    "post_url": "https://www.instagram.com/p/BoHk1haB5tM/",
    "sidecar_media_id": "1875629777499953996",
    "sidecar_shortcode": "BoHk1haB5tM",
    "shortcode": "BoHk1aaaaaa",
    "owner_id": "25025320",
    "username": "instagram",
    "fullname": "Instagram",
    "likes": 12,
    "description": "Weekend #WHPsquares",
    "tags": ["#WHPsquares"],
    "post_date": "2018-09-24 16:27:01",
    "date": "2018-09-24 16:27:02",
    "type": "post",
    "num": 3,
    "count": 5,
    "video_url": None,
    "extension": "jpg",
}
WEIBO: dict[str, Any] = {
    "category": "weibo",
    "subcategory": "feed",
    "num": 2,
    "extension": "jpg",
    "status": {
        "id": 4823456789012345,
        "idstr": "4823456789012345",
        "mblogid": "MabcDEF12",
        "created_at": "Mon Oct 10 21:30:10 +0800 2022",
        "date": "2022-10-10 13:30:10",
        "text": "看<a href='x'>#旅行 日记#</a><br />好<img alt=[哈哈] src='y'> &amp; 再见",
        "text_raw": "看#旅行 日记#\n好[哈哈] & 再见",
        "attitudes_count": 5,
        "comments_count": 6,
        "user": {"id": 7488709788, "screen_name": "周于希", "followers_count": "1.2万"},
    },
}
TWEET: dict[str, Any] = {  # extractor/twitter.py, _transform_tweet
    "category": "twitter",
    "tweet_id": 1604341487988576256,
    "author": {"id": 20, "name": "kobejizo", "nick": "K"},
    "user": {"id": 30, "name": "somebody"},
    "date": "2022-12-18 05:12:36",
    "content": "Hello #World",
    "favorite_count": 8,
    "reply_count": 1,
    "num": 2,
    "extension": "png",
}


def parse(
    data: dict[str, Any] | bytes, name: str = "pic.jpg.json", names: list[str] | None = None
) -> Record | Fault | Ignored:
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, indent=4).encode()
    names = ["pic.jpg", name] if names is None else names
    return parse_metadata(raw, f"site/user/{name}", f"crawl/site/user/{name}", names)


def record(data: dict[str, Any], *args: Any, **kwargs: Any) -> Record:
    found = parse(data, *args, **kwargs)
    assert isinstance(found, Record), found
    assert found.part
    return found


def without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


def test_flickr() -> None:
    found = record(FLICKR)
    assert (found.source, found.relation, found.post_id) == ("flickr", "posted", "flickr:26140204724")
    assert (found.user_id, found.user_name) == ("flickr:23965455@N05", "philippe baumgart")
    assert found.owner_id == "flickr:23965455@N05"
    assert found.posted_at == datetime(2016, 5, 1, 10, 3, 33, tzinfo=UTC)
    assert found.caption == "Morning\nBy the river #Fog"
    assert (found.hashtags, found.tags) == (["fog"], ["fog", "river"])
    assert found.images == [(0, "site/user/pic.jpg")]
    assert found.source_ref == "crawl/site/user/pic.jpg.json:1"
    assert found.url == "https://www.flickr.com/photos/sgu_/26140204724/"


def test_a_flickr_favourite_is_of_the_one_who_favourites() -> None:
    fan = {"nsid": "9@N00", "username": "fan"}
    found = record({**FLICKR, "subcategory": "favorite", "user": fan})
    assert found.relation == "favourite"
    assert found.post_id == "flickr:26140204724:favourite:flickr:9@N00"
    assert (found.user_id, found.user_name) == ("flickr:9@N00", "fan")
    assert (found.owner_id, found.owner_name) == ("flickr:23965455@N05", "philippe baumgart")
    nobody = parse({**without(FLICKR, "user"), "subcategory": "favorite"})
    assert isinstance(nobody, Fault)
    assert nobody.reason == "missing_field"
    assert "user.nsid" in nobody.detail


def test_flickr_in_its_other_shapes() -> None:
    info = {
        **without(FLICKR, "date"),
        "title": {"_content": "Morning"},  # photos_getInfo before it is unwrapped
        "description": {"_content": ""},
        "tags": "fog river",  # before `tags.split()`
        "owner": "23965455@N05",
        "comments": 4,
        "count_faves": "9",
    }
    found = record(info)
    assert (found.caption, found.tags) == ("Morning", ["fog", "river"])
    assert (found.user_id, found.comments, found.likes) == ("flickr:23965455@N05", 4, 9)
    assert found.posted_at == datetime(2016, 5, 1, 10, 3, 33, tzinfo=UTC)
    assert record({**FLICKR, "title": "", "description": ""}).caption is None
    assert record({**FLICKR, "tags": []}).tags == []
    assert record(without(FLICKR, "tags")).tags is None


def test_a_pin_of_a_board_is_the_boards_owners() -> None:
    found = record(PIN)
    assert (found.post_id, found.user_id, found.user_name) == (
        "pinterest:858146903966145189",
        "pinterest:11",
        "g1952849",
    )
    assert (found.owner_id, found.owner_name) == ("pinterest:77", "maker")
    assert (found.board, found.caption, found.hashtags) == ("Stuff", "Red chair #Design", ["design"])
    assert found.posted_at == datetime(2019, 1, 1, 12, 34, 56, tzinfo=UTC)
    assert (found.likes, found.comments) == (6, 3)
    shared = {**PIN, "pinner": {"id": "12", "username": "friend"}}
    assert record(shared).user_id == "pinterest:11"
    assert record({**shared, "subcategory": "pin"}).user_id == "pinterest:12"


def test_a_pin_with_only_a_users_name() -> None:
    created = {
        **without(PIN, "pinner", "board", "native_creator", "description"),
        "subcategory": "created",
        "user": "ann",
    }
    found = record(created)
    assert (found.user_id, found.user_name, found.caption) == ("pinterest:@ann", "ann", "Chair")
    assert found.owner_id == "pinterest:@ann"
    lost = parse(without(created, "user"))
    assert isinstance(lost, Fault)
    assert lost.reason == "missing_field"


def test_instagram_carousel_parts_share_a_post() -> None:
    found = record(INSTAGRAM)
    assert (found.post_id, found.user_id, found.user_name) == (
        "instagram:BoHk1haB5tM",
        "instagram:25025320",
        "instagram",
    )
    assert found.images == [(2, "site/user/pic.jpg")]
    assert found.posted_at == datetime(2018, 9, 24, 16, 27, 1, tzinfo=UTC)
    assert (found.likes, found.hashtags, found.tags) == (12, ["whpsquares"], None)
    assert record({**INSTAGRAM, "num": 1}).post_id == found.post_id


def test_an_instagram_single_picture_and_video() -> None:
    single = without(INSTAGRAM, "num", "sidecar_shortcode", "sidecar_media_id")
    assert record(single).images == [(0, "site/user/pic.jpg")]
    video = {**single, "video_url": "https://x/y.mp4", "extension": "mp4"}
    found = record(video, "clip.mp4.json", ["clip.mp4", "clip.mp4.json"])
    assert (found.images, found.n_images) == ([], 0)
    assert record(video, "clip.json", ["clip.mp4", "clip.json"]).images == []
    preview = {**single, "video_url": "https://x/y.mp4", "extension": "jpg"}  # option "previews"
    assert record(preview).images == [(0, "site/user/pic.jpg")]
    assert record({**single, "likes": -1}).hidden_likes


def test_followers_are_the_owners() -> None:
    profile = {"id": "25025320", "edge_followed_by": {"count": 9}}
    assert record({**INSTAGRAM, "user": profile}).followers == 9
    assert record({**INSTAGRAM, "user": {**profile, "id": "1"}}).followers is None


@pytest.mark.parametrize("kind", ["story", "highlight", "avatar"])
def test_what_is_no_post_is_ignored(kind: str) -> None:
    assert parse({**INSTAGRAM, "type": kind}) == Ignored(kind, "crawl/site/user/pic.jpg.json:1")


def test_weibo() -> None:
    found = record(WEIBO)
    assert (found.post_id, found.user_id) == ("weibo:4823456789012345", "weibo:7488709788")
    assert found.user_name == "周于希"
    assert found.followers is None  # "1.2万" is no number
    assert found.posted_at == datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC)
    assert found.caption == "看#旅行 日记#\n好[哈哈] & 再见"
    assert found.hashtags == ["旅行 日记"]
    assert (found.likes, found.comments) == (5, 6)
    assert found.images == [(1, "site/user/pic.jpg")]
    assert found.url == "https://weibo.com/7488709788/MabcDEF12"


def test_weibo_without_plain_text() -> None:
    status = without(WEIBO["status"], "text_raw", "created_at")
    found = record({**WEIBO, "status": status})
    assert found.caption == WEIBO["status"]["text_raw"]
    assert found.posted_at == datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain &lt;3", "plain <3"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<span class=x>a</span><img>", "a"),
        ("<a", "<a"),
        ("<![x[ y ]]> <!-- z", "<![x[ y ]]> <!-- z"),
        ("<img src='a' alt='[ok]'>!<img alt=\"[a b]\"/><IMG ALT=[c]>", "[ok]![a b][c]"),
        ("1 < 2", "1 < 2"),
        ("", ""),
    ],
)
def test_html(text: str, expected: str) -> None:
    assert strip_html(text) == expected


def test_any_other_site() -> None:
    found = record(TWEET, "pic.png.json", ["pic.png"])
    assert (found.source, found.post_id, found.user_id) == ("twitter", "twitter:1604341487988576256", "twitter:20")
    assert found.user_name == "kobejizo"
    assert (found.caption, found.hashtags, found.likes, found.comments) == ("Hello #World", ["world"], 8, 1)
    assert found.images == [(1, "site/user/pic.png")]
    assert record({**TWEET, "category": "Mastodon.Social"}).source == "mastodon_social"
    art = {"category": "art", "id": 5, "author": "ann", "date": "2020-01-01 00:00:00", "tags": "a b", "comments": []}
    drawn = record(art)
    assert (drawn.user_id, drawn.tags, drawn.comments) == ("art:@ann", ["a", "b"], None)
    assert record({**art, "tags": [{"name": "a"}]}).tags is None


def test_any_other_site_says_what_it_looked_for() -> None:
    for key, tried in {"tweet_id": "status_id", "author": "uploader_id", "date": "created_at"}.items():
        found = parse(without(TWEET, key, *(["user"] if key == "author" else [])))
        assert isinstance(found, Fault)
        assert found.reason == "missing_field"
        assert tried in found.detail


@pytest.mark.parametrize(
    ("name", "names", "extension", "expected"),
    [
        ("pic.jpg.json", ["pic.jpg"], "jpg", "pic.jpg"),
        ("pic.JPG.json", ["pic.JPG"], "jpg", "pic.JPG"),
        ("pic.jpg.json", [], "jpg", "pic.jpg"),  # not there: listed all the same
        ("pic.json", ["pic.jpg", "pic.json"], "jpg", "pic.jpg"),
        ("pic.json", ["pic.png", "pic.json"], "jpg", "pic.png"),  # option adjust-extensions
        ("pic.json", ["pic.jpg", "pic.png"], "png", "pic.png"),
        ("pic.json", ["pic2.jpg"], "jpg", "pic.jpg"),
        ("pic.json", [], None, None),
        ("pic.json", ["pic.webp"], None, "pic.webp"),
        ("pic.mp4.json", ["pic.mp4"], "mp4", None),
        ("info.json", [], None, None),
        ("v1.2.json", ["v1.2.jpg"], "jpg", "v1.2.jpg"),
    ],
)
def test_the_picture_beside_the_metadata(
    name: str, names: list[str], extension: str | None, expected: str | None
) -> None:
    data = {**without(FLICKR, "extension"), **({"extension": extension} if extension else {})}
    assert record(data, name, names).images == ([(0, f"site/user/{expected}")] if expected else [])


def test_a_crawl_without_folders() -> None:
    found = parse_metadata(json.dumps(FLICKR).encode(), "pic.jpg.json", "crawl/pic.jpg.json", ["pic.jpg"])
    assert isinstance(found, Record)
    assert found.images == [(0, "pic.jpg")]


@pytest.mark.parametrize("num", [None, 0, -3, "x", [], 1.5])
def test_an_odd_number_is_the_first_place(num: Any) -> None:
    assert record({**INSTAGRAM, "num": num}).images[0][0] == 0


def test_metadata_and_picture_share_a_key() -> None:
    assert {group_key(name) for name in ("a.b.jpg", "a.b.jpg.json", "a.b.mp4.json")} == {"a.b"}
    assert group_key("a.json") == group_key("a.jpg") == "a"
    assert [group_key(name) for name in ("a.mp4", "a.txt", ".x.json", "_x.json")] == [None] * 4
    assert group_key("_x.jpg") == "_x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "bad_json"),
        (b"[]", "bad_json"),
        (b'{"category": "flickr", "id": NaN}', "bad_json"),
        (b'{"category": "flickr', "bad_json"),
        (b" " * (MAX_JSON_BYTES + 1), "bad_json"),
        ({}, "missing_field"),
        ({"category": " "}, "missing_field"),
        ({"category": 5}, "bad_value"),
        (without(FLICKR, "id"), "missing_field"),
        (without(FLICKR, "owner"), "missing_field"),
        (without(FLICKR, "date", "dateupload"), "missing_field"),
        ({**FLICKR, "date": "May 2016"}, "bad_timestamp"),
        ({**FLICKR, "date": "2016-05-41 10:03:33"}, "bad_timestamp"),
        ({**PIN, "created_at": "Tue, 41 Jan 2019 12:34:56 +0000"}, "bad_timestamp"),
        ({**PIN, "created_at": "Tue, 01 Foo 2019 12:34:56 +0000"}, "bad_timestamp"),
        ({**FLICKR, "title": 5, "description": ""}, "bad_value"),
        ({**FLICKR, "tags": [1]}, "bad_value"),
        ({**INSTAGRAM, "likes": "many"}, "bad_value"),
        ({**INSTAGRAM, "owner_id": 1.5}, "bad_value"),
    ],
)
def test_faults(data: Any, reason: str) -> None:
    found = parse(data)
    assert isinstance(found, Fault)
    assert (found.reason, found.record_id) == (reason, "crawl/site/user/pic.jpg.json:1")


def test_any_shape_of_metadata_is_a_row() -> None:
    dice = random.Random(9)
    odd: list[Any] = [
        None,
        [],
        {},
        "",
        "x",
        1,
        -1,
        1.5,
        True,
        [[]],
        {"id": []},
        {"_content": 3},
        [None],
        "2",
        {"user": 1},
    ]
    for _ in range(4000):
        data = dict(dice.choice([FLICKR, PIN, INSTAGRAM, WEIBO, TWEET]))
        for _ in range(dice.randrange(1, 4)):
            key = dice.choice([*data, "user", "board", "status", "count_faves", "hashtags"])
            if key == "status" and data.get("status") == WEIBO["status"] and dice.random() < 0.7:
                data["status"] = {**data["status"], dice.choice([*data["status"]]): dice.choice(odd)}
            else:
                data[key] = dice.choice(odd)
        assert isinstance(parse(data), Record | Fault), data


def test_any_mutation_of_metadata_is_a_row() -> None:
    dice = random.Random(10)
    plain = [json.dumps(data).encode() for data in (FLICKR, PIN, INSTAGRAM, WEIBO, TWEET)]
    for _ in range(2000):
        raw = bytearray(dice.choice(plain))
        for _ in range(dice.randrange(1, 5)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        assert isinstance(parse(bytes(raw)), Record | Fault | Ignored)
