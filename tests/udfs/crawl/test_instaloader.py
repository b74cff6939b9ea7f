"""The instaloader format.

Shapes are those of github.com/instaloader/instaloader:
- `instaloader/structures.py`, `get_json_structure`: {"node": ..., "instaloader": {"version", "node_type"}}, written by
  `save_structure_to_file` with `lzma.open(..., check=CHECK_NONE)` or indented.
- `Post.from_iphone_struct`: `fake_node` with "date", "caption", "comments", "edge_media_preview_like",
  "edge_sidecar_to_children", "iphone_struct"; `Post.shortcode`: "shortcode" or "code"; `Post.caption`:
  "edge_media_to_caption" or "caption"; `Post.comments`: "edge_media_to_comment" or "edge_media_to_parent_comment";
  `Post._get_timestamp_date_created`: "date" or "taken_at_timestamp".
- `instaloader/instaloader.py`, `Instaloader.download_post`: `<UTC time>_UTC.jpg`, for a GraphSidecar `_1`, `_2`, ...;
  `save_caption` adds a line feed and keeps `_old_01.txt`; `save_location`: `_location.txt`; `update_comments`:
  `_comments.json`; `download_title_pic`: `_profile_pic.jpg`.
"""

import json
import lzma
import random
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from udfs.crawl.instaloader import MAX_JSON_BYTES, group_key, parse_sidecar, posts_of
from udfs.crawl.records import Fault, Ignored, Record

STEM = "2022-10-10_13-30-10_UTC"
SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "instaloader_sample"


def node(**changes: Any) -> dict[str, Any]:
    """A GraphQL node as `Post._asdict` saves it, owner included; None removes a key."""
    full = {
        "__typename": "GraphImage",
        "id": "2945983361411628069",
        "shortcode": "CjiPEI7Jrwl",
        "edge_media_to_caption": {"edges": [{"node": {"text": "Calves at play #Elephants"}}]},
        "edge_media_to_comment": {"count": 396},
        "edge_media_preview_like": {"count": 69613},
        "edge_liked_by": {"count": 69613},
        "taken_at_timestamp": 1665408610,
        "is_video": False,
        "owner": {"id": "787132", "username": "natgeo", "edge_followed_by": {"count": 242002210}},
        **changes,
    }
    return {key: value for key, value in full.items() if value is not None}


def iphone(**changes: Any) -> dict[str, Any]:
    """`iphone_struct` as instagram's phone interface gives it: the fields that `Post.from_iphone_struct` reads."""
    full = {
        "code": "CjiPEI7Jrwl",
        "pk": 2945983361411628069,
        "media_type": 1,
        "taken_at": 1665408610,
        "caption": {"text": "from the phone"},
        "like_count": 5,
        "comment_count": 6,
        "user": {"pk": 787132, "username": "natgeo", "follower_count": 7},
        **changes,
    }
    return {key: value for key, value in full.items() if value is not None}


def saved(content: dict[str, Any], node_type: str = "Post", packed: bool = True) -> bytes:
    structure = {"node": content, "instaloader": {"version": "4.9.5", "node_type": node_type}}
    if not packed:
        return json.dumps(structure, indent=4, sort_keys=True).encode()
    return lzma.compress(json.dumps(structure, separators=(",", ":")).encode(), check=lzma.CHECK_NONE)


def parse(
    content: dict[str, Any] | bytes, names: list[str] | None = None, text: bytes | None = None, stem: str = STEM
) -> Record | Fault | Ignored:
    raw = content if isinstance(content, bytes) else saved(content)
    names = [f"{stem}.jpg"] if names is None else names
    return parse_sidecar(raw, f"natgeo/{stem}.json.xz", f"crawl/natgeo/{stem}.json.xz", names, text)


def post(*args: Any, **kwargs: Any) -> Record:
    found = parse(*args, **kwargs)
    assert isinstance(found, Record), found
    return found


def test_a_single_picture() -> None:
    assert post(node()) == Record(
        post_id="instagram:CjiPEI7Jrwl",
        native_post_id="CjiPEI7Jrwl",
        source="instagram",
        relation="posted",
        user_id="instagram:787132",
        user_name="natgeo",
        owner_id="instagram:787132",
        owner_name="natgeo",
        followers=242002210,
        posted_at=datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC),
        caption="Calves at play #Elephants",
        hashtags=["elephants"],
        tags=None,
        board=None,
        likes=69613,
        comments=396,
        hidden_likes=False,
        url="https://www.instagram.com/p/CjiPEI7Jrwl/",
        crawled_at=None,
        images=[(0, f"natgeo/{STEM}.jpg")],
        n_images=1,
        source_ref=f"crawl/natgeo/{STEM}.json.xz:1",
        line=1,
    )


def test_packed_and_plain_sidecars_are_the_same() -> None:
    assert parse(saved(node(), packed=False)) == parse(saved(node()))
    two_streams = (
        lzma.compress(saved(node(), packed=False)[:100]) + b"\0" * 8 + lzma.compress(saved(node(), packed=False)[100:])
    )
    assert parse(two_streams) == parse(saved(node()))


def test_a_post_of_the_phone_interface() -> None:
    fake = {  # structures.py, Post.from_iphone_struct: fake_node
        "shortcode": "CjiPEI7Jrwl",
        "id": 2945983361411628069,
        "__typename": "GraphImage",
        "is_video": False,
        "date": 1665408610,
        "caption": "as text #a",
        "edge_media_preview_like": {"count": 11},
        "comments": 12,
        "iphone_struct": iphone(),
    }
    found = post(fake)
    assert (found.caption, found.likes, found.comments) == ("as text #a", 11, 12)
    assert (found.user_id, found.user_name, found.followers) == ("instagram:787132", "natgeo", 7)


def test_what_the_node_lacks_the_phone_struct_gives() -> None:
    bare = post({"iphone_struct": iphone()})
    assert (bare.post_id, bare.user_id) == ("instagram:CjiPEI7Jrwl", "instagram:787132")
    assert bare.posted_at == datetime(2022, 10, 10, 13, 30, 10, tzinfo=UTC)
    assert (bare.caption, bare.likes, bare.comments) == ("from the phone", 5, 6)


@pytest.mark.parametrize(
    ("changes", "likes"),
    [
        ({"edge_liked_by": None}, 69613),
        ({"edge_media_preview_like": None}, 69613),
        ({"edge_media_preview_like": None, "edge_liked_by": {"count": 4}}, 4),
        ({"edge_media_preview_like": None, "edge_liked_by": None}, None),
        ({"edge_media_preview_like": None, "edge_liked_by": None, "iphone_struct": iphone()}, 5),
    ],
)
def test_where_likes_are(changes: dict[str, Any], likes: int | None) -> None:
    found = post(node(**changes))
    assert (found.likes, found.hidden_likes) == (likes, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"edge_media_preview_like": {"count": -1}},
        {"edge_media_preview_like": {"count": 3}, "iphone_struct": iphone(like_and_view_counts_disabled=True)},
    ],
)
def test_hidden_likes(changes: dict[str, Any]) -> None:
    found = post(node(**changes))
    assert (found.likes, found.hidden_likes) == (None, True)


def test_comments_with_answers() -> None:
    changes = {"edge_media_to_comment": None, "edge_media_to_parent_comment": {"count": 9}}
    assert post(node(**changes)).comments == 9


def test_the_sidecars_own_caption_wins_over_the_text_file() -> None:
    none = {"edges": []}
    assert post(node(), text=b"other\n").caption == "Calves at play #Elephants"
    assert post(node(edge_media_to_caption=none), text="from é #file\n".encode()).caption == "from é #file"
    assert post(node(edge_media_to_caption=none), text=b"\xef\xbb\xbftwo\r\nlines\r\n").caption == "two\nlines"
    assert post(node(edge_media_to_caption=none), text=b"bad \xff byte").caption == "bad \ufffd byte"
    assert post(node(edge_media_to_caption=none)).caption is None
    own_empty = {"edges": [{"node": {"text": ""}}]}
    assert post(node(edge_media_to_caption=own_empty), text=b"other").caption == ""


def children(*videos: bool) -> dict[str, Any]:
    return {"edges": [{"node": {"is_video": is_video, "display_url": "x"}} for is_video in videos]}


def test_a_carousel_counts_from_one_and_positions_from_nought() -> None:
    names = [f"{STEM}_{n}.jpg" for n in range(1, 12)]
    carousel = node(__typename="GraphSidecar", edge_sidecar_to_children=children(*[False] * 11))
    random.Random(0).shuffle(names)
    assert post(carousel, names).images == [(n - 1, f"natgeo/{STEM}_{n}.jpg") for n in range(1, 12)]


def test_a_video_keeps_its_place_and_its_thumbnail_is_a_picture() -> None:
    carousel = node(__typename="GraphSidecar", edge_sidecar_to_children=children(False, True, False))
    first, second, third = ((n - 1, f"natgeo/{STEM}_{n}.jpg") for n in (1, 2, 3))
    assert post(carousel, [f"{STEM}_1.jpg", f"{STEM}_3.jpg"]).images == [first, third]
    assert post(carousel, [f"{STEM}_{n}.jpg" for n in (1, 2, 3)]).images == [first, second, third]


def test_a_picture_that_was_promised_is_listed_though_it_is_not_there() -> None:
    carousel = node(__typename="GraphSidecar", edge_sidecar_to_children=children(False, True, False))
    found = post(carousel, [f"{STEM}_3.webp"])
    assert found.images == [(0, f"natgeo/{STEM}_1.jpg"), (2, f"natgeo/{STEM}_3.webp")]
    assert found.n_images == 2
    assert post(node(), []).images == [(0, f"natgeo/{STEM}.jpg")]


def test_a_carousel_of_the_phone_interface() -> None:
    media = [{"media_type": 1}, {"media_type": 2}]
    found = post({"iphone_struct": iphone(media_type=8, carousel_media=media)}, [f"{STEM}_1.jpg"])
    assert found.images == [(0, f"natgeo/{STEM}_1.jpg")]


def test_a_carousel_without_children_takes_the_files_that_are_there() -> None:
    found = post(node(__typename="GraphSidecar"), [f"{STEM}_2.jpg", f"{STEM}_1.jpg"])
    assert [position for position, _ in found.images] == [0, 1]


@pytest.mark.parametrize("kind", ["GraphVideo", "XDTGraphVideo"])
def test_a_video(kind: str) -> None:
    video = node(__typename=kind, is_video=True)
    assert post(video, []).images == []
    assert post(video, []).n_images == 0
    assert post(video, [f"{STEM}.jpg"]).images == [(0, f"natgeo/{STEM}.jpg")]


def test_other_picture_types_and_a_crawl_without_folders() -> None:
    found = parse_sidecar(saved(node()), f"{STEM}.json.xz", f"crawl/{STEM}.json.xz", [f"{STEM}.png"])
    assert isinstance(found, Record)
    assert found.images == [(0, f"{STEM}.png")]


def test_a_user_who_has_only_a_name() -> None:
    found = post(node(owner={"username": "natgeo"}))
    assert (found.user_id, found.user_name) == ("instagram:@natgeo", "natgeo")


@pytest.mark.parametrize("kind", ["Profile", "StoryItem", "Hashtag", "FrozenNodeIterator"])
def test_other_structures_are_ignored(kind: str) -> None:
    assert parse(saved({"id": "1"}, kind)) == Ignored(kind, f"crawl/natgeo/{STEM}.json.xz:1")


def test_comments_and_strangers_are_ignored() -> None:
    comments = parse_sidecar(b"[]", f"natgeo/{STEM}_comments.json", "c", [])
    assert comments == Ignored("comments", "c:1")
    assert isinstance(parse_sidecar(b'{"a": 1}', "natgeo/settings.json", "c", []), Ignored)


def test_a_post_of_instaloader_3() -> None:
    found = parse(lzma.compress(json.dumps(node()).encode()))  # structures.py, load_structure: the node itself
    assert isinstance(found, Record)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (lzma.compress(b"[]"), "bad_json"),
        (saved(node())[:-20], "bad_json"),
        (saved(node())[:3], "bad_json"),
        (saved(node()) + b"garbage", "bad_json"),
        (b"\xfd7zXZ\x00" + b"\xff" * 50, "bad_json"),
        (b"{}", "missing_field"),
        (saved({}), "missing_field"),
        (saved(node(shortcode=None)), "missing_field"),
        (saved(node(owner=None)), "missing_field"),
        (saved(node(taken_at_timestamp=None)), "missing_field"),
        (saved(node(taken_at_timestamp=-5)), "bad_timestamp"),
        (saved(node(edge_media_preview_like={"count": "x"})), "bad_value"),
        (saved(node(owner={"id": [1]})), "bad_value"),
        (saved(node(edge_media_to_caption={"edges": [{"node": {"text": 5}}]})), "bad_value"),
    ],
)
def test_faults(raw: bytes, reason: str) -> None:
    found = parse(raw)
    assert isinstance(found, Fault)
    assert (found.reason, found.record_id) == (reason, f"crawl/natgeo/{STEM}.json.xz:1")


def test_a_bomb_is_a_fault() -> None:
    bomb = lzma.compress(b'{"a": "' + b"0" * (MAX_JSON_BYTES + 1) + b'"}', preset=0)
    assert len(bomb) < 100_000
    found = parse(bomb)
    assert isinstance(found, Fault)
    assert found.reason == "bad_json"
    assert "more than" in found.detail


def test_any_mutation_of_a_sidecar_is_a_row() -> None:
    dice = random.Random(6)
    plain, packed = saved(node(iphone_struct=iphone()), packed=False), saved(node())
    for _ in range(1500):
        raw = bytearray(dice.choice([plain, packed]))
        for _ in range(dice.randrange(1, 5)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        assert isinstance(parse(bytes(raw[: dice.randrange(len(raw) + 1)])), Record | Fault | Ignored)
        assert isinstance(parse(bytes(raw)), Record | Fault | Ignored)


def test_any_shape_of_a_node_is_a_row() -> None:
    dice = random.Random(7)
    odd: list[Any] = [None, [], {}, "", "x", 1, -1, 1.5, True, [[]], {"count": []}, {"edges": [None]}, {"edges": {}}]
    keys = [*node(), "iphone_struct", "edge_sidecar_to_children", "caption", "date", "code", "comments"]
    for _ in range(3000):
        content = node(**{dice.choice(keys): dice.choice(odd) for _ in range(3)})
        found = parse(saved(content, packed=False), [f"{STEM}_1.jpg", f"{STEM}.jpg"])
        assert isinstance(found, Record | Fault), content


# --- the files of a folder --------------------------------------------------------------------------------------------


def test_the_files_of_a_folder_by_post() -> None:
    names = [
        f"{STEM}.json.xz",
        f"{STEM}.txt",
        f"{STEM}_1.jpg",
        f"{STEM}_2.jpg",
        f"{STEM}_2.mp4",
        f"{STEM}_old_01.txt",
        f"{STEM}_location.txt",
        f"{STEM}_comments.json",
        "2022-10-11_00-00-00_UTC.jpg",  # no sidecar
        "2022-10-11_00-00-00_UTC.txt",
        "2022-01-01_00-00-00_UTC_profile_pic.jpg",
        "natgeo_787132.json.xz",
        "id",
        ".hidden.json",
        "_skipped.json",
        "holiday.jpg",
    ]
    found = {post.stem: post for post in posts_of(names)}
    assert set(found) == {STEM, f"{STEM}_comments", "2022-10-11_00-00-00_UTC", "natgeo_787132"}
    whole = found[STEM]
    assert (whole.sidecar, whole.text) == (f"{STEM}.json.xz", f"{STEM}.txt")
    assert whole.pictures == [f"{STEM}_1.jpg", f"{STEM}_2.jpg"]
    orphan = found["2022-10-11_00-00-00_UTC"]
    assert (orphan.sidecar, orphan.pictures) == (None, ["2022-10-11_00-00-00_UTC.jpg"])
    assert found["natgeo_787132"].pictures == []


def test_names_that_end_in_a_number_themselves() -> None:
    # --filename-pattern={shortcode}: ABC is a carousel, ABC_1 another post.
    names = ["ABC.json.xz", "ABC_1.jpg", "ABC_2.jpg", "ABC_1.json.xz"]
    found = {post.stem: post.pictures for post in posts_of(names)}
    assert found == {"ABC": ["ABC_2.jpg"], "ABC_1": ["ABC_1.jpg"]}
    assert {group_key(name) for name in names} == {"ABC"}


def test_files_of_a_post_share_a_key() -> None:
    names = [f"{STEM}.json.xz", f"{STEM}.json", f"{STEM}.txt", f"{STEM}.jpg", f"{STEM}_10.PNG", f"{STEM}_1.webp"]
    assert {group_key(name) for name in names} == {STEM}
    assert [group_key(name) for name in ("a.mp4", "id", ".a.json", "_a.json", "readme.md")] == [None] * 5


def test_grouping_by_key_first_gives_the_same_posts() -> None:
    dice = random.Random(8)
    stems = [STEM, "2022-10-11_00-00-00_UTC", "x_1", "x", "x_2", "y_1_1"]
    ends = [".json.xz", ".json", ".txt", ".jpg", "_1.jpg", "_2.png", "_12.jpg", ".mp4", "_comments.json"]
    for _ in range(300):
        names = sorted({dice.choice(stems) + dice.choice(ends) for _ in range(12)})
        keys = sorted({key for name in names if (key := group_key(name)) is not None})
        groups = [posts_of([name for name in names if group_key(name) == key]) for key in keys]
        apart = sorted(repr(post) for group in groups for post in group)
        assert apart == sorted(repr(post) for post in posts_of(names))


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the instaloader sample is not here")
def test_real_crawls() -> None:
    seen = 0
    for folder in sorted(SAMPLE.iterdir()):
        for files in posts_of([path.name for path in folder.iterdir()]):
            assert files.sidecar is not None
            raw = (folder / files.sidecar).read_bytes()
            text = (folder / files.text).read_bytes() if files.text else None
            path = f"{folder.name}/{files.sidecar}"
            found = parse_sidecar(raw, path, f"sample/{path}", files.pictures, text)
            assert isinstance(found, Record), found
            content = json.loads(lzma.decompress(raw))["node"]
            assert found.post_id == f"instagram:{content['shortcode']}"
            assert found.user_id == f"instagram:{content['owner']['id']}"
            assert found.user_name == folder.name
            assert found.posted_at.strftime("%Y-%m-%d_%H-%M-%S_UTC") == files.stem
            assert found.likes == content["edge_media_preview_like"]["count"]
            assert found.comments == content["edge_media_to_comment"]["count"]
            assert found.images == [(0, f"{folder.name}/{files.stem}.jpg")]
            if text is not None:
                edges = content["edge_media_to_caption"]["edges"]
                content["edge_media_to_caption"]["edges"] = []
                own = edges[0]["node"]["text"]
                without = parse_sidecar(json.dumps({"node": content}).encode(), path, "x", files.pictures, text)
                assert isinstance(without, Record)
                assert found.caption == own
                assert without.caption is not None
                # structures.py, _optional_normalize: newer versions write the text file in NFC.
                both = [unicodedata.normalize("NFC", caption).strip() for caption in (without.caption, own)]
                assert both[0] == both[1]
            seen += 1
    assert seen == 40
