"""The demo crawl: what it holds, that it can be made again byte by byte, and that its truth is true.

The plan (users, posts, likes) is checked at full size, the written crawl at small size: pictures are what costs time.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from demo import make_crawl as making
from demo.captions import FEELINGS, GENERAL_HASHTAGS, VOCABULARY, write
from demo.encoded import ENCODINGS
from demo.faults import MAX_BYTES, PICTURE_REASONS, PICTURES_EACH, RECORD_REASONS, RECORDS_EACH
from demo.kinds import KIND_NAMES, KINDS
from demo.likes import LOOK_APPEAL
from demo.make_crawl import CannotMake, make_crawl
from demo.photographs import LOOKS, PHOTOGRAPHS, crop, develop, load, path_of
from demo.plan import FULL, SMALL, Plan, bad_records, generator, plan, plan_pictures, record
from demo.users import ARCHETYPES, archetype_mix
from udfs.crawl.hashtags import hashtags_in
from udfs.crawl.jsonl import iter_gzip_lines, iter_lines, parse_line
from udfs.crawl.records import Defaults, Fault, Record
from udfs.pictures import Picture, inspect, resolve

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_PIXELS = 100_000_000


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "crawl"
    assert make_crawl(out, small=True).new
    return out


@pytest.fixture(scope="module")
def full() -> Plan:
    return plan(7, FULL)


def truth(crawl: Path, name: str) -> list[dict[str, str]]:
    with (crawl.parent / "truth" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(crawl: Path) -> Iterator[tuple[str, int, Record | Fault]]:
    """(file, line, what ingest makes of it) of every line of the crawl that is not blank."""
    for path in sorted(crawl.glob("*.jsonl*")):
        split = iter_gzip_lines if path.name.endswith(".gz") else iter_lines
        for number, raw in split([path.read_bytes()]):  # type: ignore[misc]
            parsed = parse_line(raw, path.name, number, Defaults())
            if parsed is not None:
                yield path.name, number, parsed


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- size of the full crawl -------------------------------------------------------------------------------------------


def test_full_crawl_is_as_large_as_promised(full: Plan) -> None:
    occurrences: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    for post in full.posts:
        occurrences[post.user.user_id] += len({picture.kind for picture in post.pictures})
        pictures[post.user.user_id] += len(post.pictures)
    assert len(full.users) >= 120
    assert len({user.user_id for user in full.users}) == len(full.users)
    assert len(full.posts) == 7_000
    assert sum(count >= 50 for count in occurrences.values()) >= 100
    assert sum(count >= 100 for count in pictures.values()) >= 30
    assert sum(picture.copy_of is None for picture in full.pictures) >= 2_000
    assert any(picture.copy_of is not None for picture in full.pictures)


def test_categories_that_profilelake_merges_leave_enough_occurrences(full: Plan) -> None:
    # The four kinds of selfie are one category, and two kinds of texture could become one.
    merged = {name: "selfie" if name.startswith("selfie") else name for name in KIND_NAMES}
    merged["gravel"] = merged["pavement"]
    occurrences: Counter[str] = Counter()
    for post in full.posts:
        occurrences[post.user.user_id] += len({merged[picture.kind] for picture in post.pictures})
    assert sum(count >= 50 for count in occurrences.values()) >= 100


def test_faults_stay_below_one_percent_of_the_full_crawl(full: Plan) -> None:
    records = len(full.posts) + len(full.favourites) + len(bad_records(FULL))
    listed = sum(len(post.pictures) + len(post.extra) for post in full.posts)
    assert Counter(reason for reason, _ in bad_records(FULL)) == dict.fromkeys(RECORD_REASONS, RECORDS_EACH)
    assert Counter(picture.reason for picture in full.bad_pictures) == PICTURES_EACH
    assert len(bad_records(FULL)) < records / 100
    assert len(full.bad_pictures) < listed / 100


def test_posts_have_up_to_nine_pictures_and_pictures_come_again(full: Plan) -> None:
    sizes = Counter(len(post.pictures) for post in full.posts)
    assert {0, 1, 2, 3, 4}.issubset(sizes)
    assert max(sizes) == 9
    assert sum(count for size, count in sizes.items() if size >= 2) > 1_000
    posted_by = defaultdict(set)
    for post in full.posts:
        for picture in post.pictures:
            posted_by[picture.number].add(post.user.user_id)
    assert sum(len(users) > 1 for users in posted_by.values()) > 500


def test_posts_span_two_years_in_several_time_zones(full: Plan) -> None:
    times = [post.posted_at for post in full.posts]
    assert min(times).year == 2023
    assert (max(times) - min(times)).days > 600
    assert len({moment.utcoffset() for moment in times}) >= 6
    forms = Counter(type(record(post, generator(1, "x", n))["posted_at"]) for n, post in enumerate(full.posts[:500]))
    assert set(forms) == {int, str}


# --- habits -----------------------------------------------------------------------------------------------------------


def mix_of(full: Plan, user_id: str) -> np.ndarray[Any, Any]:
    counts = np.zeros(len(KIND_NAMES))
    for post in full.posts:
        if post.user.user_id == user_id:
            for picture in post.pictures:
                counts[KIND_NAMES.index(picture.kind)] += 1
    return counts / counts.sum()


def test_archetype_mixes_are_distributions() -> None:
    for archetype in ARCHETYPES:
        mix = archetype_mix(archetype)
        assert mix.sum() == pytest.approx(1)
        assert (mix > 0).all()
        assert set(archetype.mix) <= set(KIND_NAMES)


def test_users_of_an_archetype_resemble_each_other_more_than_others(full: Plan) -> None:
    users = [user for user in full.users if user.posts >= 50][:64]
    mixes = {user.user_id: mix_of(full, user.user_id) for user in users}
    within, between = [], []
    for position, one in enumerate(users):
        for other in users[position + 1 :]:
            distance = float(np.abs(mixes[one.user_id] - mixes[other.user_id]).sum() / 2)
            (within if one.archetype == other.archetype else between).append(distance)
    assert np.mean(between) > 0.5
    assert np.mean(within) < np.mean(between) - 0.2


def test_users_prefer_their_looks(full: Plan) -> None:
    graded = {kind.name for kind in KINDS if kind.graded}
    more = 0
    lovers = [(user, int(np.argmax(user.looks))) for user in full.users if max(user.looks) > 0.6 and user.posts > 40]
    for user, look in lovers:
        shown = [p.look for post in full.posts if post.user is user for p in post.pictures if p.kind in graded]
        more += Counter(shown)[LOOKS[look].name] / len(shown) > 1.5 / len(LOOKS)
    assert len(lovers) > 20
    assert more > 0.9 * len(lovers)


def test_favourites_are_of_others_and_match_their_users_taste(full: Plan) -> None:
    share = []
    assert len({(one.user.user_id, one.post.native_id) for one in full.favourites}) == len(full.favourites) > 500
    for one in full.favourites:
        assert one.user.user_id != one.post.user.user_id
        share.append(one.user.mix[KIND_NAMES.index(one.post.pictures[0].kind)])
    assert np.mean(share) > 3 / len(KIND_NAMES)


# --- likes ------------------------------------------------------------------------------------------------------------


def test_likes_follow_the_documented_rule(full: Plan) -> None:
    """Regression of ln(1 + likes) on terms that are computed anew from pictures, captions and order."""
    appeal = {kind.name: kind.appeal for kind in KINDS}
    by_user = defaultdict(list)
    for post in full.posts:
        by_user[post.user.user_id].append(post)
    rows, observed = [], []
    for posts in by_user.values():
        posts.sort(key=lambda post: post.posted_at)
        kinds: list[str] = []
        for post in posts:
            main = post.pictures[0].kind if post.pictures else None
            picture = [appeal[one.kind] + LOOK_APPEAL[one.look] for one in post.pictures]
            other = float(np.mean([kind != main for kind in kinds[-5:]])) if kinds else 1.0
            level = 0.7 * np.log(post.user.followers) - 0.6
            rows.append([1.0, level, float(np.mean(picture)) if picture else 0.0, post.caption.words, other])
            observed.append(np.log1p(post.likes))
            if main is not None:
                kinds.append(main)
    enough = np.array(observed) > 2.5  # rounding bends small counts
    a, b = np.array(rows)[enough], np.array(observed)[enough]
    weights, *_ = np.linalg.lstsq(a, b, rcond=None)
    residual = b - a @ weights
    assert weights[1:] == pytest.approx([1.0, 1.0, 1.0, 0.5], abs=0.06)
    assert np.std(residual) == pytest.approx(0.25, abs=0.03)
    for column in (2, 3, 4):
        assert abs(np.corrcoef(a[:, column], b - a[:, 1])[0, 1]) > 0.1


def test_comments_go_with_likes(full: Plan) -> None:
    likes, comments = (sum(getattr(post, name) for post in full.posts) for name in ("likes", "comments"))
    assert comments / likes == pytest.approx(0.04, rel=0.05)


# --- captions ---------------------------------------------------------------------------------------------------------


def test_every_kind_has_words() -> None:
    assert set(VOCABULARY) == set(KIND_NAMES)
    for kind in VOCABULARY.values():
        assert kind.phrases["en"]
        assert kind.emoji
        assert kind.hashtags
        assert kind.tags


def test_hashtags_match_what_is_shown(full: Plan) -> None:
    general = {tag.casefold() for tag in GENERAL_HASHTAGS}
    tagged = 0
    for post in full.posts:
        shown = {tag.casefold() for picture in post.pictures for tag in VOCABULARY[picture.kind].hashtags}
        found = set(hashtags_in(post.caption.text))
        assert found <= shown | general
        assert found == {tag.casefold() for tag in post.caption.hashtags}
        tagged += bool(found & shown)
    assert tagged > 0.6 * len(full.posts)


def test_captions_are_written_in_six_languages(full: Plan) -> None:
    text = "".join(post.caption.text for post in full.posts)
    for script in ("[a-z]", "[一-鿿]", "[ぁ-ヿ]", "[؀-ۿ]", "[äöüß]", "[¡ñáéí]"):
        assert re.search(script, text), script


def test_words_of_a_caption_add_up() -> None:
    worth = {
        "finally!": 0.5,
        "giveaway tomorrow": 0.6,
        "monday again": -0.4,
        "proud of": 0.35,
        "in love": 0.4,
        "good weekend": 0.2,
        "nothing special": -0.3,
        "a bit tired": -0.3,
        "sponsored": -0.6,
    }
    rng = np.random.default_rng(3)
    for _ in range(200):
        caption = write(("cat",), "en", 0.9, rng)
        expected = 0.0
        for feeling, value in worth.items():
            expected += value * (feeling in caption.text)
        assert caption.words == pytest.approx(expected)


# --- the written crawl ------------------------------------------------------------------------------------------------


def test_every_line_is_what_the_truth_says(crawl: Path) -> None:
    parsed = {(file, line): item for file, line, item in read(crawl)}
    faults = {place: item.reason for place, item in parsed.items() if isinstance(item, Fault)}
    expected = {(row["file"], int(row["line"])): row["reason"] for row in truth(crawl, "bad_records")}
    assert faults == expected
    assert set(expected.values()) == set(RECORD_REASONS)
    posts = truth(crawl, "posts")
    assert len(posts) == SMALL.posts
    rows = [*posts, *truth(crawl, "favourites"), *truth(crawl, "superseded")]
    assert len(parsed) == len(rows) + len(expected)
    for row in rows:
        item = parsed[row["file"], int(row["line"])]
        assert isinstance(item, Record)
        assert item.native_post_id == row["native_post_id"]
        assert item.source == "demo"
    for row in posts:
        item = parsed[row["file"], int(row["line"])]
        assert isinstance(item, Record)
        assert item.likes == int(row["likes"]) or item.hidden_likes
        assert item.posted_at.timestamp() == pytest.approx(_epoch(row["posted_at"]), abs=1)


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_superseded_records_are_older_versions_of_posts(crawl: Path) -> None:
    parsed = {(file, line): item for file, line, item in read(crawl)}
    posts = {row["native_post_id"]: parsed[row["file"], int(row["line"])] for row in truth(crawl, "posts")}
    rows = truth(crawl, "superseded")
    assert len(rows) == SMALL.superseded
    for row in rows:
        old, new = parsed[row["file"], int(row["line"])], posts[row["native_post_id"]]
        assert isinstance(old, Record)
        assert isinstance(new, Record)
        assert old.post_id == new.post_id
        assert old.crawled_at is not None
        assert new.crawled_at is not None
        assert old.crawled_at < new.crawled_at
        assert old.images == new.images


def test_favourites_name_a_post_that_its_owner_posted(crawl: Path) -> None:
    records = [item for _, _, item in read(crawl) if isinstance(item, Record)]
    owners = {item.native_post_id: item.user_id for item in records if item.relation == "posted"}
    favourites = [item for item in records if item.relation == "favourite"]
    assert len(favourites) == len(truth(crawl, "favourites")) > 8
    for item in favourites:
        assert item.owner_id == owners[item.native_post_id]
        assert item.owner_id != item.user_id


def test_every_listed_picture_is_good_or_bad_as_the_truth_says(crawl: Path) -> None:
    good = {row["path"] for row in truth(crawl, "images")}
    bad = {(row["native_post_id"], int(row["position"])): row for row in truth(crawl, "bad_pictures")}
    superseded = {(row["file"], int(row["line"])) for row in truth(crawl, "superseded")}
    found: Counter[str] = Counter()
    listed = 0
    for file, line, item in read(crawl):
        if isinstance(item, Fault) or (file, line) in superseded:
            continue
        for position, path in item.images:
            listed += 1
            planted = bad.get((item.native_post_id, position)) if item.relation == "posted" else None
            reason = _reason(crawl, path)
            assert reason == (planted["reason"] if planted else None), path
            if planted:
                assert planted["path"] == path
                found[planted["reason"]] += 1
            else:
                assert path in good
    assert found == Counter(row["reason"] for row in bad.values()) == dict.fromkeys(PICTURE_REASONS, 1)
    assert found.total() < 0.05 * listed


def _reason(crawl: Path, path: str) -> str | None:
    """What profilelake's own rules, and then a full decode, find in a listed picture."""
    inside = resolve(path)
    if inside is None:
        return "path_outside_crawl"
    if not (crawl / inside).is_file():
        return "image_missing"
    content = (crawl / inside).read_bytes()
    seen = inspect(content, MAX_BYTES, MAX_PIXELS)
    if not isinstance(seen, Picture):
        return seen.reason
    try:
        Image.open(io.BytesIO(content)).load()
    except OSError:
        return "image_failed"
    return None


def test_pictures_are_as_the_truth_says_and_show_every_encoding(crawl: Path) -> None:
    rows = truth(crawl, "images")
    assert {row["encoding"] for row in rows} >= set(ENCODINGS) - {"jpeg_grey"}
    for row in rows:
        content = (crawl / row["path"]).read_bytes()
        seen = inspect(content, MAX_BYTES, MAX_PIXELS)
        assert isinstance(seen, Picture)
        assert (seen.sha256, seen.width, seen.height) == (row["sha256"], int(row["width"]), int(row["height"]))
        with Image.open(io.BytesIO(content)) as opened:
            assert ImageOps.exif_transpose(opened).size == (seen.width, seen.height)
        if row["kind"] == "long":
            assert seen.height / seen.width > 3
        else:
            assert 300 <= max(seen.width, seen.height) <= 640
    originals = {row["path"]: row["sha256"] for row in rows}
    copies = [row for row in rows if row["copy_of"]]
    assert len({row["sha256"] for row in rows}) == len(rows) - len(copies)
    assert all(originals[row["copy_of"]] == row["sha256"] for row in copies)


def test_faces_in_the_truth_go_with_the_kinds(crawl: Path) -> None:
    for row in truth(crawl, "images"):
        faces, kind = int(row["faces"]), row["kind"]
        low, high = {"group_small": (2, 5), "group_large": (6, 9), "photographer": (1, 1)}.get(
            kind, (1, 1) if kind.startswith("selfie") else (0, 0)
        )
        assert low <= faces <= high
        assert (row["outdoor"], row["holding"], row["mask"]) == (
            str(int(kind == "selfie_outdoor")),
            str(int(kind == "selfie_holding")),
            str(int(kind == "selfie_mask")),
        )


def test_the_crawl_itself_tells_no_truth(crawl: Path) -> None:
    assert {path.name for path in crawl.iterdir()} == {
        "images",
        "posts-00.jsonl",
        "posts-01.jsonl",
        "posts-02.jsonl.gz",
    }
    allowed = {
        "post_id",
        "user_id",
        "owner_id",
        "posted_at",
        "source",
        "relation",
        "caption",
        "hashtags",
        "tags",
        "board",
        "likes",
        "comments",
        "crawled_at",
        "images",
        "camera",
        "likes_ratio",
        "title",
    }
    for path in crawl.glob("*.jsonl*"):
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig", errors="replace")
        for line in text.split("\n"):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                assert set(value) <= allowed
    assert not any(path.is_symlink() for path in crawl.rglob("*"))


# --- making it again --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(crawl: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "crawl"
    make_crawl(again, small=True)
    assert hashes(again) == hashes(crawl)
    assert hashes(again.parent / "truth") == hashes(crawl.parent / "truth")
    assert plan_pictures(8, SMALL) != plan_pictures(7, SMALL)
    assert [user.user_id for user in plan(8, SMALL).users] != [user.user_id for user in plan(7, SMALL).users]


def test_the_number_of_workers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(7, SMALL)
    few = Plan(planned.scale, 7, planned.users, planned.pictures[:8], [], [], planned.bad_pictures[-3:])
    monkeypatch.setattr(making, "FEW", 4)
    one = making._draw_all(tmp_path / "one", few, 1)
    two = making._draw_all(tmp_path / "two", few, 2)
    assert one == two
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert len(hashes(tmp_path / "one")) == 11


def test_a_crawl_that_is_there_is_left_alone(crawl: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in crawl.rglob("*")}
    started = time.perf_counter()
    made = make_crawl(crawl, small=True)
    assert time.perf_counter() - started < 2
    assert not made.new
    assert made.records == SMALL.posts + len(truth(crawl, "favourites")) + SMALL.superseded + len(RECORD_REASONS)
    assert {path: path.stat().st_mtime_ns for path in crawl.rglob("*")} == before


def test_nothing_heavy_is_imported_for_a_crawl_that_is_there(crawl: Path) -> None:
    program = (
        "import sys; from demo.make_crawl import main; code = main(sys.argv[1:]);"
        "print(sorted({'numpy', 'PIL', 'demo.plan'} & set(sys.modules))); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "--out", str(crawl), "--small"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "is there already: 12 users" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def drawn_quickly(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pictures are not drawn again in tests that are about folders; the list counts how often they would be."""
    calls: list[int] = []

    def pretend(crawl: Path, planned: Plan, workers: int | None) -> dict[int, making.Drawn]:
        calls.append(len(planned.pictures))
        (crawl / "images").mkdir(parents=True)
        return {one.number: making.Drawn("", 0, 1, 1, 0, False, False, False) for one in planned.pictures}

    monkeypatch.setattr(making, "_draw_all", pretend)
    return calls


def test_what_is_damaged_unfinished_or_of_another_seed_is_made_again(tmp_path: Path, drawn_quickly: list[int]) -> None:
    out = tmp_path / "crawl"
    make_crawl(out, small=True)
    whole = hashes(out)
    (out / "posts-00.jsonl").write_bytes(b"{}\n")
    assert make_crawl(out, small=True).new
    assert hashes(out) == whole
    (out / "posts-01.jsonl").unlink()
    assert make_crawl(out, small=True).new
    assert hashes(out) == whole
    assert make_crawl(out, seed=8, small=True).new
    assert hashes(out) != whole
    assert len(drawn_quickly) == 4
    assert not make_crawl(out, seed=8, small=True).new


def test_a_killed_run_leaves_no_half_crawl_and_the_next_one_finishes(
    tmp_path: Path, drawn_quickly: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "crawl"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(making, "_write_truth", killed)
        with pytest.raises(KeyboardInterrupt):
            make_crawl(out, small=True)
    assert not out.exists()
    assert make_crawl(out, small=True).new
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo-crawl.json", "crawl", "truth"]


def test_a_run_killed_between_renames_is_finished(
    tmp_path: Path, drawn_quickly: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "crawl"
    with monkeypatch.context() as during:
        during.setattr(making, "_measure", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_crawl(out, small=True)
    assert out.exists()  # renamed, but the marker does not say that it is whole
    assert make_crawl(out, small=True).new
    assert not make_crawl(out, small=True).new


def test_somebody_elses_folder_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "crawl"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CannotMake, match="exists and is no demo crawl"):
        make_crawl(out, small=True)
    assert making.main(["--out", str(out), "--small"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["crawl"]
    assert (out / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_somebody_elses_truth_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CannotMake, match="truth exists and is no demo crawl's"):
        make_crawl(tmp_path / "crawl", small=True)
    assert (tmp_path / "truth" / "mine.txt").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--out", "x", "--seed", "-1"], "--seed must be 0 or more"),
    (["--out", "x", "--workers", "0"], "--workers must be 1 or more"),
    ([], "--out"),
])  # fmt: skip
def test_wrong_arguments_exit_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        making.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


# --- photographs ------------------------------------------------------------------------------------------------------


def test_readme_names_every_photograph_with_licence_and_author() -> None:
    readme = (REPOSITORY / "demo" / "README.md").read_text(encoding="utf-8")
    for photograph in PHOTOGRAPHS:
        rows = [
            line for line in readme.splitlines() if line.startswith(f"| {photograph.name} | {photograph.package} |")
        ]
        assert len(rows) == 1, photograph.name
        for text in (photograph.path, photograph.licence, photograph.author):
            assert text in rows[0]
        assert path_of(photograph.name).is_file()


def test_readme_states_the_numbers_of_the_code() -> None:
    readme = (REPOSITORY / "demo" / "README.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| {kind.name} | {kind.pictures} | {kind.appeal:+.2f} |" in readme
    for look, appeal in LOOK_APPEAL.items():
        assert re.search(rf"\b{look}\s+{re.escape(f'{appeal:.2f}' if appeal else '0')}\b", readme), look
    for feeling in ("giveaway tomorrow", "finally!", "so in love with this", "a bit tired", "monday again"):
        [value] = [worth for text, worth in FEELINGS["en"] if text == feeling]
        assert f'"{feeling}" {value}' in " ".join(readme.split())


def test_a_missing_photograph_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("demo.photographs._package_folder", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match=r"skimage carries no data/chelsea.png .* make setup"):
        path_of("cat")


def test_a_crop_has_no_empty_corners_and_the_wanted_size() -> None:
    white = Image.new("RGB", (600, 400), "white")
    for number in range(40):
        result = crop(white, (300, 533), np.random.default_rng(number), tilt=14)
        assert result.size == (300, 533)
        assert np.asarray(result).min() == 255


def test_looks_differ_in_what_they_are_for() -> None:
    cat = load("cat").resize((160, 160))

    def saturation(image: Image.Image) -> float:
        return float(np.asarray(image.convert("HSV"))[..., 1].mean())

    def warmth(image: Image.Image) -> float:
        pixels = np.asarray(image, dtype=float)
        return float((pixels[..., 0] - pixels[..., 2]).mean())

    shown = {look.name: develop(cat, look, np.random.default_rng(1)) for look in LOOKS}
    assert saturation(shown["vivid"]) > saturation(shown["natural"]) > saturation(shown["faded"])
    assert warmth(shown["warm"]) > warmth(shown["natural"]) > warmth(shown["cool"])
    assert np.asarray(shown["moody"]).mean() < np.asarray(shown["natural"]).mean() - 10
