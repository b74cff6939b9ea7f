"""The report of a lake: its numbers are the tables', its page is where report.path says, and no table changes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from profilelake import config as configuration
from profilelake.behaviour import prints
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.lake import Lake, open_lake
from profilelake.ledger import StageReport
from profilelake.reports import facts, page, stage
from profilelake.reports.facts import Category, Facts
from tests.conftest import SMALL, Place, versions
from tests.lakes import WHEN, lay
from tests.reports.pages import read, texts
from tests.reports.synthetic import FIT, HOSTILE, RUN, STUDY, STUDY_FIGURES, Synthetic, make

SHOWN = 15
EXAMPLES = 10


@dataclass(frozen=True)
class Reported:
    """A synthetic lake's report."""

    lake: Synthetic
    said: Facts
    report: StageReport
    html: str
    thumbnails: dict[str, bytes]
    sheets: dict[str, bytes]
    before: dict[str, int]
    after: dict[str, int]
    pending: dict[str, int]


@pytest.fixture(scope="module")
def reported(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("reported")
    config = configuration.load(
        arguments=[
            *SMALL, f"lake.path={place.put_down()}", f"report.path={(folder / 'report').as_uri()}",
            f"crawl.path={folder / 'secret place' / 'summer crawl'}", f"report.users={SHOWN}",
            f"report.examples={EXAMPLES}",
        ]
    )  # fmt: skip
    synthetic = make()
    spark = place.spark
    lake = open_lake(spark, config, run_id="test")
    synthetic.write(lake)
    before = versions(lake)
    said = facts.gather(lake, config, RUN)
    shown = facts.thumbnails(lake, page.wanted(said), page.SIDE, config.crawl.max_image_pixels)
    sheets = prints.contact_sheets(lake, config.crawl.max_image_pixels)
    report = stage.run(spark, config)
    html = (folder / "report" / "index.html").read_text(encoding="utf-8")
    return Reported(synthetic, said, report, html, shown, sheets, before, versions(lake), stage.pending(lake, config))


def test_the_stage_adds_no_version_to_any_table(reported: Reported) -> None:
    assert reported.after == reported.before
    assert reported.pending == {}
    assert reported.report.status == "done"
    assert reported.report.rows_in == reported.report.rows_out == SHOWN
    assert reported.report.counters["categories"] == 8


def test_numbers_are_the_tables(reported: Reported) -> None:
    tables, numbers = reported.lake.tables, reported.said.numbers
    assert numbers.users == len(tables["users"]) == 21
    assert numbers.posts == sum(post["relation"] == "posted" for post in tables["posts"])
    assert numbers.favourites == 1
    assert numbers.images == len(tables["images"])
    assert numbers.posted_images == len(tables["post_images"])
    assert numbers.faces == sum(row["faces"] for row in tables["image_faces"])
    assert numbers.with_faces == sum(row["faces"] > 0 for row in tables["image_faces"])
    evidence = [row.get("behaviour_occurrences") for row in tables["user_profiles"]]
    assert numbers.profiles == len(evidence)
    assert numbers.profiles_without_category == sum(not value for value in evidence) == 1
    assert numbers.profiles_with_few == sum(0 < (value or 0) < 20 for value in evidence) > 0


def test_categories_are_the_current_fits_merged_by_name(reported: Reported) -> None:
    tables = reported.lake.tables
    found: dict[str, Category] = {category.name: category for category in reported.said.categories}
    assert set(found) == {row["category"] for row in tables["user_categories"]}
    named = {
        row["cluster_id"]: row["category"]
        for row in tables["cluster_centroids"]
        if row["purpose"] == "categories" and row["fit_id"] == FIT
    }
    sizes = Counter(named[row["cluster_id"]] for row in tables["image_clusters"] if row["purpose"] == "categories")
    assert {name: category.images for name, category in found.items()} == sizes
    assert [category.images for category in reported.said.categories] == sorted(sizes.values(), reverse=True)
    for name, category in found.items():
        rows = [row for row in tables["user_categories"] if row["category"] == name]
        assert (category.posted, category.occurrences, category.users) == (
            sum(row["images"] for row in rows), sum(row["occurrences"] for row in rows), len(rows),
        )  # fmt: skip
    assert (found["Cat"].clusters, found["Cat"].reviewed, found["Cat"].proposed) == (2, True, ("tabby",))
    assert (found["Food"].clusters, found["Food"].reviewed) == (1, False)
    assert dict(found["Selfie"].kinds) == {"Outdoor Selfie": 15, "Face Mask Selfie": 5}


def test_merged_clusters_take_turns_on_the_contact_sheet(reported: Reported) -> None:
    cats = [row["exemplar_image_ids"] for row in reported.lake.tables["cluster_centroids"] if row["category"] == "Cat"]
    (found,) = [category for category in reported.said.categories if category.name == "Cat"]
    assert len(found.exemplars) == EXAMPLES
    assert list(found.exemplars[:4]) == [cats[0][0], cats[1][0], cats[0][1], cats[1][1]]
    assert all(len(category.exemplars) <= EXAMPLES for category in reported.said.categories)


def test_users_with_most_pictures_come_first_with_their_mix(reported: Reported) -> None:
    rows = sorted(reported.lake.tables["user_profiles"], key=lambda row: (-row["images"], row["user_id"]))[:SHOWN]
    assert [user.user_id for user in reported.said.users] == [row["user_id"] for row in rows]
    for user, row in zip(reported.said.users, rows, strict=True):
        assert (user.posts, user.images, user.median_likes) == (row["posts"], row["images"], row["median_likes"])
        assert [(share.category, share.occurrences) for share in user.mix] == [
            (share["category"], share["occurrences"]) for share in row["behaviour_categories"]
        ]
        assert user.selfie_frequency == row["behaviour_selfie_frequency"]
        assert user.first_seen == f"{row['first_seen_at']:%Y-%m-%d}"


def test_who_has_favourites_alone_comes_by_their_number(lake: Lake) -> None:
    """Paper 2's users may have posted nothing."""
    known = {"source": "instagram", "images": 5, "posts": 5, "favourites": 9, "profiled_at": WHEN}
    lay(
        lake,
        "user_profiles",
        [
            {"user_id": "posts", **known},
            {"user_id": "likes", **known, "images": 0, "interests_images": 9, "interests_relation": "favourite"},
            {"user_id": "seldom", **known, "images": 0, "interests_images": 4, "interests_relation": "favourite"},
        ],
    )
    assert [user.user_id for user in facts._users(lake, 2)] == ["likes", "posts"]


def test_a_users_pictures_are_the_most_typical_of_their_most_frequent_categories(reported: Reported) -> None:
    tables = reported.lake.tables
    distance = {row["image_id"]: row["distance"] for row in tables["image_clusters"] if row["purpose"] == "categories"}
    named = {row["cluster_id"]: row["category"] for row in tables["cluster_centroids"] if row["fit_id"] == FIT}
    category = {
        row["image_id"]: named[row["cluster_id"]] for row in tables["image_clusters"] if row["purpose"] == "categories"
    }
    owner = {post["post_id"]: post["user_id"] for post in tables["posts"] if post["relation"] == "posted"}
    for user in reported.said.users:
        own = {row["image_id"] for row in tables["post_images"] if owner[row["post_id"]] == user.user_id}
        expected = [
            (
                share.category,
                min((i for i in own if category[i] == share.category), key=lambda i: (distance[i], i)),
            )
            for share in user.mix[:6]
        ]
        assert list(user.pictures) == expected


def test_a_users_interests_have_the_picture_that_the_network_is_surest_of(reported: Reported) -> None:
    tables = reported.lake.tables
    best = {row["image_id"]: row for row in tables["image_labels"] if row["rank"] == 1}
    domains = {row["word"]: row["domains"] for row in tables["interest_words"]}
    owner = {post["post_id"]: post["user_id"] for post in tables["posts"] if post["relation"] == "posted"}
    profiles = {row["user_id"]: row for row in tables["user_profiles"]}
    for user in reported.said.users:
        profile = profiles[user.user_id]
        assert user.interests is not None
        top = [entry["domain"] for entry in profile.get("interests_from_pictures", ())]
        assert [domain for domain, _ in user.interests.pictures] == top
        assert [domain for domain, _ in user.interests.tags] == ["animals", "music"]
        assert user.interests.overlap == profile.get("interests_overlap")
        own = {row["image_id"] for row in tables["post_images"] if owner[row["post_id"]] == user.user_id}
        for domain, image_id in user.interests.examples:
            assert image_id in own
            assert domain in domains[best[image_id]["label"]]
            rivals = [best[i]["score"] for i in own if domain in domains[best[i]["label"]]]
            # as the table holds it, in single precision
            assert best[image_id]["score"] == pytest.approx(max(rivals), abs=1e-6)
        assert [domain for domain, _ in user.interests.examples] == top
    numbers = reported.said.numbers
    overlaps = [row["interests_overlap"] for row in profiles.values() if "interests_overlap" in row]
    assert (numbers.with_interests, numbers.with_both_interests) == (len(profiles) - 1, len(overlaps))
    assert numbers.mean_overlap == pytest.approx(sum(overlaps) / len(overlaps))


def test_the_ledger_tells_this_run_from_earlier_ones(reported: Reported) -> None:
    rows = {row.stage: row for row in reported.said.stages}
    assert (reported.said.job, reported.said.started_at, reported.said.runs) == (
        "build_profiles", "2026-03-01 11:59", 2,
    )  # fmt: skip
    assert set(rows) == {"ingest", "images", "clusters", "preference", "score", "train_selfie"}
    assert (rows["ingest"].rows_in, rows["ingest"].rows_quarantined) == (2300, 1236)
    assert rows["ingest"].counters == {"unknown_keys": 17}
    assert rows["images"].warnings == ("no GPU was given, the CPU is used",)
    assert rows["score"].earlier
    assert not rows["ingest"].earlier
    assert [row.split()[0] for row in texts(reported.html, "tr") if "reads the crawl" in row] == ["ingest"]


def test_quarantine_is_counted_by_reason_with_three_examples(reported: Reported) -> None:
    counts = Counter((row["stage"], row["reason"]) for row in reported.lake.tables["quarantine"])
    assert {(refused.stage, refused.reason): refused.count for refused in reported.said.refused} == counts
    first = reported.said.refused[0]
    assert (first.reason, first.count) == ("bad_timestamp", 1234)
    ids = sorted(row["record_id"] for row in reported.lake.tables["quarantine"] if row["reason"] == "bad_timestamp")
    assert [record for record, _ in first.examples] == ids[:3]
    assert "1,234" in " ".join(texts(reported.html, "td"))


def test_the_fit_is_the_current_one_with_its_whole_sweep(reported: Reported) -> None:
    fit = reported.said.fit
    assert fit is not None
    assert (fit.fit_id, fit.k, fit.drift) == (FIT, 26, 0.031)
    sweep = reported.lake.tables["cluster_sweeps"]
    assert [(point.k, point.silhouette, point.smoothed, point.chosen) for point in fit.tried] == [
        (row["k"], row["silhouette"], row["silhouette_smoothed"], row["chosen"]) for row in sweep
    ]
    assert "chosen: k = 26" in reported.html
    assert "Stale Category" not in reported.html


def test_thumbnails_are_made_of_the_wanted_pictures_only(reported: Reported) -> None:
    assert set(reported.thumbnails) == set(page.wanted(reported.said))
    assert len(reported.thumbnails) < len(reported.lake.tables["images"])
    for jpeg in reported.thumbnails.values():
        assert Image.open(io.BytesIO(jpeg)).size == (page.SIDE, page.SIDE)


def test_the_page_is_one_file_that_names_the_crawl_and_no_place(reported: Reported) -> None:
    assert len(reported.html.encode()) < page.MAX_BYTES
    assert texts(reported.html, "h1") == ["summer crawl"]
    assert "secret place" not in reported.html
    assert "6 users are not shown" in reported.html
    sheets = [e for e in read(reported.html) if ", example " in str(e.attributes.get("alt"))]
    assert reported.said.selfies is not None
    kinds = sum(len(ids[: page._KIND_PICTURES]) for ids in reported.said.selfies.kinds.values())
    assert kinds
    assert len(sheets) == sum(len(category.exemplars) for category in reported.said.categories) + kinds


def test_hostile_names_and_records_are_text(reported: Reported) -> None:
    assert HOSTILE in {user.name for user in reported.said.users}
    elements = read(reported.html)
    assert sum(element.tag == "script" for element in elements) == 1
    sources = [str(e.attributes["src"]) for e in elements if e.tag == "img"]
    assert all(source.startswith(("data:image/jpeg", "data:image/png")) for source in sources)
    assert HOSTILE not in reported.html
    assert any(HOSTILE in element.text for element in elements if element.tag == "th")


def test_the_newest_study_is_shown(reported: Reported) -> None:
    selfies = reported.said.selfies
    assert selfies is not None
    assert (selfies.run_id, selfies.started_at) == (STUDY, "2026-02-28 10:00")
    mine = [row for row in reported.lake.tables["evaluations"] if row["run_id"] == STUDY]
    assert Counter(row.value for row in selfies.evaluations) == Counter(row["value"] for row in mine)
    assert {row.figure for row in selfies.figures} == {*STUDY_FIGURES}
    assert set(selfies.kinds) == {"Outdoor Selfie", "Face Mask Selfie"}
    shown = texts(reported.html, "tr")
    for row in mine:
        if (row["artefact"], row["metric"]) == ("table 4", "accuracy") and row["value"] is not None:
            assert any(f"{row['task']} F {100 * row['value']:.1f}" in text for text in shown)
    assert [text.split()[1] for text in texts(reported.html, "summary") if text.startswith("Figure")] == ["9", "10"]
    assert "Stale" not in "".join(str(e.attributes.get("alt")) for e in read(reported.html))


def test_contact_sheets_show_the_current_fits(reported: Reported) -> None:
    categories, kinds = (Image.open(io.BytesIO(reported.sheets[name])) for name in ("figure 2", "figure 7"))
    assert set(reported.sheets) == {"figure 2", "figure 7"}
    assert categories.size[1] > kinds.size[1]  # four categories, two kinds
    assert len({categories.convert("RGB").getpixel((x, 90)) for x in range(20, 500, 40)}) > 3


def test_a_profiles_habits_are_a_users(reported: Reported) -> None:
    profiles = {row["user_id"]: row for row in reported.lake.tables["user_profiles"]}
    for user in reported.said.users:
        profile = profiles[user.user_id]
        if "behaviour_type" in profile:
            assert user.habits is not None
            assert user.habits.type == profile["behaviour_type"]
            food = profile["behaviour_attributes"][0]["value"]
            assert sorted(user.habits.attributes) == [("Food", food), ("Travel", 0.5)]
            assert user.habits.scores == (("R1", 0.75, "2"),)
            assert dict(user.habits.measures)["selfie_frequency"] == profile["behaviour_selfie_frequency"]


def test_an_empty_lake_gets_a_page_that_says_so(spark: SparkSession, lake_config: Config, tmp_path: Path) -> None:
    report = stage.run(spark, lake_config)
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    read(html)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)
    assert "There is nobody in this lake yet." in html
    assert "the stage <code>clusters</code> has not run on this lake." in html
    assert "<code>spark-submit jobs/train_selfie.py</code>" in html


def test_users_are_shown_before_any_profile_is_made(lake: Lake, lake_config: Config) -> None:
    users = [("jsonl:a", "jsonl", "A", 3), ("jsonl:b", "jsonl", None, 5), ("jsonl:c", "jsonl", "C", None)]
    schema = "user_id string, source string, user_name string, posts bigint"
    rows = lake.spark.createDataFrame(users, schema).selectExpr(
        "*", "CAST(NULL AS timestamp) first_seen_at", "CAST(NULL AS timestamp) last_seen_at",
        "CAST(NULL AS bigint) followers",
    )  # fmt: skip
    lake.write("users", rows)
    said = facts.gather(lake, lake_config, "test")
    assert [(user.user_id, user.posts, user.images) for user in said.users] == [
        ("jsonl:b", 5, None), ("jsonl:a", 3, None), ("jsonl:c", 0, None),
    ]  # fmt: skip
    html = page.render(said, {})
    assert "All 3 users, those with the most posts first." in html
    assert html.count("not counted yet</span>") == 3


def test_a_folder_that_cannot_be_one_is_said_before_anything_is_done(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "report", f"file://{tmp_path}/file/x"):
        with pytest.raises(ConfigError, match=r"report\.path must be a folder.*file is a file"):
            stage.check(make_config(f"report.path={path}"))
    stage.check(make_config(f"report.path={tmp_path}/new/report"))
    stage.check(make_config("report.path=s3://bucket/report"))
