from __future__ import annotations

import numpy as np
import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from profilelake.clusters import stage
from profilelake.lake import Lake
from tests.clusters import planted
from tests.clusters.planted import GROUPS, categories, current, embed_again, every, image_id, put
from tests.conftest import contents, versions

NAMES = {
    "cats": ("Pet", None),
    "food": ("Meal", None),
    "crowds": ("Large Group Photo", None),
    "long": ("Very Long Picture", None),
    "rockets": ("missile", None),
    "selfies_in": ("Selfie", "Indoor Ordinary Selfie"),
    "selfies_out": ("Selfie", "Outdoor Selfie"),
    "selfies_cup": ("Selfie", "Holding Something Selfie"),
    "selfies_mask": ("Selfie", "Face Mask Selfie"),
}
TABLES = ("cluster_fits", "cluster_sweeps", "cluster_centroids", "image_clusters")


def expected(numbers):
    return {image_id(group, number): NAMES[group] for group, number in every(numbers)}


def reference(lake, purpose="categories"):
    """What assigned pictures must be, computed without the package: image_id -> (cluster, distance, silhouette)."""
    fit_id = current(lake, purpose)
    rows = lake.read("cluster_centroids").where((F.col("purpose") == purpose) & (F.col("fit_id") == fit_id))
    centroids = {row["cluster_id"]: np.array(row["centroid"]) for row in rows.collect()}
    vectors = {row["image_id"]: np.array(row["embedding"]) for row in lake.read("image_embeddings").collect()}
    found = {}
    for name, point in vectors.items():
        ranked = sorted((float(np.linalg.norm(point - centroid)), cluster) for cluster, centroid in centroids.items())
        (a, cluster), (b, _) = ranked[:2]
        found[name] = cluster, a, (b - a) / max(a, b)
    sizes = {cluster: sum(one[0] == cluster for one in found.values()) for cluster in centroids}
    return {name: (c, a, s if sizes[c] > 1 else 0.0) for name, (c, a, s) in found.items()}


def test_planted_groups_are_found_and_named(clustered):
    lake = clustered.open()
    assert categories(lake) == expected(range(10))
    rows = lake.read("cluster_centroids").where("purpose = 'categories'").orderBy("cluster_id").collect()
    assert [row["size"] for row in rows] == [40, 10, 10, 10, 10, 10]
    assert all(row["category"] == row["proposed_category"] and not row["reviewed"] for row in rows)
    fits = {row["purpose"]: row for row in lake.read("cluster_fits").collect()}
    assert {purpose: (row["k"], row["images"], row["current"]) for purpose, row in fits.items()} == {
        "categories": (6, 90, True),
        "selfie": (4, 40, True),
    }
    assert all(row["drift"] is None and row["warning"] is None for row in fits.values())


def test_assignments_and_scores_are_those_of_an_independent_computation(clustered):
    lake = clustered.open()
    wanted = reference(lake)
    rows = lake.read("image_clusters").where("purpose = 'categories'").collect()
    assert {row["image_id"] for row in rows} == set(wanted)
    for row in rows:
        cluster, distance, silhouette = wanted[row["image_id"]]
        assert row["cluster_id"] == cluster
        assert row["fitted"]
        assert row["distance"] == pytest.approx(distance, rel=1e-6)
        assert row["silhouette"] == pytest.approx(silhouette, rel=1e-6)
    sweep = {row["k"]: row for row in lake.read("cluster_sweeps").where("purpose = 'categories'").collect()}
    assert sorted(sweep) == [5, 6, 7]
    assert [k for k, row in sweep.items() if row["chosen"]] == [6]
    assert sweep[6]["silhouette"] == pytest.approx(np.mean([one[2] for one in wanted.values()]), rel=1e-6)
    assert sweep[6]["inertia"] == pytest.approx(sum(one[1] ** 2 for one in wanted.values()), rel=1e-6)
    fits = lake.read("cluster_fits").where("purpose = 'categories'").first()
    assert fits["mean_distance"] == pytest.approx(np.mean([one[1] for one in wanted.values()]), rel=1e-6)
    for row in lake.read("cluster_centroids").where("purpose = 'categories'").collect():
        nearest = sorted((one[1], name) for name, one in wanted.items() if one[0] == row["cluster_id"])
        assert row["exemplar_image_ids"] == [name for _, name in nearest[:12]]
    figure = lake.read("figure_data").collect()
    assert {(row["series"], row["x"]) for row in figure} == {
        *((series, float(k)) for series in ("S(k)", "S(k) smoothed") for k in (5, 6, 7)),
        ("chosen", 6.0),
    }


def test_a_rerun_changes_nothing(clustered):
    before = versions(clustered.open())
    report = clustered.run()
    assert versions(clustered.open()) == before
    assert (report.status, report.rows_in, report.rows_out) == ("done", 90, 90)
    assert report.counters["fits"] == report.counters["assigned"] == report.counters["assigned_selfies"] == 0
    asked = clustered.run("clusters.refit=true")
    assert versions(clustered.open()) == before
    assert asked.counters["fits"] == 0


def test_new_pictures_are_assigned_and_gone_ones_leave(clustered):
    lake = clustered.open("1")
    old = set(contents(lake, "image_clusters"))
    fits = {purpose: current(lake, purpose) for purpose in ("categories", "selfie")}
    put(lake, every([10, 11]))
    gone = image_id("cats", 3)
    DeltaTable.forName(lake.spark, lake.name("image_embeddings")).delete(F.col("image_id") == gone)
    assert stage.pending(clustered.open(), clustered.config()) == {"pictures_to_assign": 18, "fits": 0}
    report = clustered.run()
    lake = clustered.open()
    assert (report.counters["fits"], report.counters["assigned"], report.counters["assigned_selfies"]) == (0, 18, 8)
    wanted = expected(range(12))
    del wanted[gone]
    assert categories(lake) == wanted
    assert {purpose: current(lake, purpose) for purpose in fits} == fits
    assert {row for row in old if gone not in row} < set(contents(lake, "image_clusters"))
    rows = lake.read("image_clusters").where("purpose = 'categories'").collect()
    later = [row["distance"] for row in rows if not row["fitted"]]
    assert len(later) == 18
    held = lake.read("cluster_fits").where("purpose = 'categories'").first()
    assert held["drift"] == pytest.approx(np.mean(later) / held["mean_distance"] - 1, rel=1e-6)
    before = versions(lake)
    assert clustered.run().counters["assigned"] == 0
    assert versions(clustered.open()) == before


def rename(lake, purpose, names):
    """What a review writes: {proposed: chosen}."""
    fit_id = current(lake, purpose)
    rows = lake.read("cluster_centroids").where((F.col("purpose") == purpose) & (F.col("fit_id") == fit_id))
    chosen = F.create_map(*[F.lit(text) for pair in names.items() for text in pair])
    named = rows.drop("run_id").withColumn("reviewed", chosen[F.col("category")].isNotNull())
    named = named.withColumn("category", F.coalesce(chosen[F.col("category")], F.col("category")))
    lake.write("cluster_centroids", named, scope=rows.select("purpose", "fit_id").distinct())


@pytest.mark.slow
@pytest.mark.parametrize("other_network", [False, True])
def test_reviewed_names_survive_a_refit(clustered, other_network):
    lake = clustered.open("1")
    rename(lake, "categories", {"Pet": "Cats", "missile": "Food and rockets", "Meal": "Food and rockets"})
    rename(lake, "selfie", {"Outdoor Selfie": "By the lake"})
    before = current(lake)
    new = [(group, number) for group, number in every(range(10, 13)) if group != "food"]
    if other_network:
        put(lake, new, weights="b" * 64, shift=3)
        embed_again(lake, every(range(10)), weights="b" * 64, shift=3)
        report = clustered.run()
    else:
        put(lake, new)
        report = clustered.run("clusters.refit=true")
    lake = clustered.open()
    assert report.counters["fits"] == 2
    assert current(lake) != before
    assert lake.read("cluster_fits").where("purpose = 'categories' and current").count() == 1
    wanted = {name: of for name, of in expected(range(13)).items() if name in set(categories(lake))}
    renamed = {"Pet": "Cats", "missile": "Food and rockets", "Meal": "Food and rockets"}
    assert len(wanted) == 9 * 10 + 8 * 3
    assert categories(lake) == {
        name: (renamed.get(category, category), kind and kind.replace("Outdoor Selfie", "By the lake"))
        for name, (category, kind) in wanted.items()
    }
    rows = lake.read("cluster_centroids").where((F.col("purpose") == "categories") & (F.col("fit_id") == current(lake)))
    assert {row["category"]: row["reviewed"] for row in rows.collect()} == {
        "Cats": True,
        "Food and rockets": True,
        "Selfie": False,
        "Large Group Photo": False,
        "Very Long Picture": False,
    }
    assert not [warning for warning in report.warnings if "matches" in warning]


@pytest.mark.slow
def test_a_reviewed_name_that_finds_no_cluster_is_told(clustered):
    lake = clustered.open("1")
    rename(lake, "categories", {"Pet": "Cats"})
    DeltaTable.forName(lake.spark, lake.name("image_embeddings")).delete(
        F.col("image_id").isin([image_id("cats", number) for number in range(10)])
    )
    report = clustered.run("clusters.refit=true", "clusters.k=5")
    assert "categories: no cluster of the new fit matches the reviewed Cats" in report.warnings
    assert "Cats" not in {category for category, _ in categories(clustered.open()).values()}


def test_new_evidence_renews_proposals_at_a_refit_but_no_reviewed_name(clustered):
    lake = clustered.open("1")
    rename(lake, "categories", {"Pet": "Cats"})
    report = clustered.run("clusters.refit=true", "naming.very_long_ratio=9.0")
    assert report.counters["fits"] == 0
    found = categories(clustered.open())
    assert found[image_id("long", 0)] == ("Chat Screenshot", None)
    assert found[image_id("cats", 0)] == ("Cats", None)


def test_selfies_are_clustered_again_when_others_are_called_so(clustered):
    lake = clustered.open("1")
    before = current(lake, "selfie")
    rename(lake, "categories", {"Large Group Photo": "Selfie"})
    report = clustered.run("clusters.selfie_k=5")
    lake = clustered.open()
    assert report.counters["fits"] == 1
    assert current(lake, "selfie") != before
    assert lake.read("image_clusters").where("purpose = 'selfie'").count() == 50
    rename(clustered.open("2"), "categories", {"Selfie": "People"})
    report = clustered.run()
    lake = clustered.open()
    assert "no kinds of selfie: no cluster is called Selfie" in report.warnings
    assert lake.read("image_clusters").where("purpose = 'selfie'").isEmpty()
    assert lake.read("cluster_fits").where("purpose = 'selfie' and current").isEmpty()
    assert {kind for _, kind in categories(lake).values()} == {None}


@pytest.mark.slow
def test_fewer_than_four_selfies_have_no_kinds(spark, lake, make_lake_config):
    put(lake, [*((group, n) for group in ("cats", "food") for n in range(4)), *(("selfies_in", n) for n in range(3))])
    report = stage.run(spark, make_lake_config("clusters.k=3"))
    assert "no kinds of selfie: 3 distinct pictures are too few to cluster, 4 are needed" in report.warnings
    assert {kind for _, kind in categories(lake).values()} == {None}
    assert lake.read("cluster_fits").where("purpose = 'selfie'").isEmpty()
    put(lake, [("selfies_out", 0)])
    assert stage.run(spark, make_lake_config("clusters.k=3")).counters["assigned_selfies"] == 4


def test_without_pictures_or_with_one_the_stage_is_skipped(spark, lake, lake_config):
    report = stage.run(spark, lake_config)
    assert (report.status, report.reason) == ("skipped", "no picture has a vector of efficientnet_lite0 yet")
    put(lake, [("cats", 1)])
    report = stage.run(spark, lake_config)
    assert (report.status, report.reason) == ("skipped", "1 picture is too few to cluster, 2 are needed")
    assert lake.read("cluster_fits").isEmpty()
    assert lake.read("image_clusters").isEmpty()


@pytest.mark.slow
def test_fewer_pictures_than_k_try_what_is_possible(spark, lake, make_lake_config):
    put(lake, [("cats", 1), ("cats", 2), ("food", 1), ("food", 2)])
    report = stage.run(spark, make_lake_config("clusters.k_min=10", "clusters.k_max=100"))
    assert "there are only 4 distinct pictures: k from 2 to 4 was tried" in report.warnings[0]
    assert sorted(row["k"] for row in lake.read("cluster_sweeps").collect()) == [2, 3, 4]
    report = stage.run(spark, make_lake_config("clusters.k=60", "clusters.refit=true"))
    assert "k = 60 was asked for, but there are only 4 distinct pictures" in report.warnings[0]
    alone = lake.read("image_clusters").collect()
    assert len(alone) == 4
    assert {(row["distance"], row["silhouette"]) for row in alone} == {(0.0, 0.0)}


@pytest.mark.slow
def test_vectors_of_other_weights_are_left_out(spark, lake, make_lake_config):
    put(lake, [(group, n) for group in ("cats", "food") for n in range(3)])
    later = [(group, n) for group in ("cats", "food") for n in range(3, 7)]
    put(lake, later, weights="c" * 64, shift=1, run_id="1")
    report = stage.run(spark, make_lake_config("clusters.k=2"))
    assert (report.rows_in, report.rows_out) == (8, 8)
    assert report.warnings[0].startswith("6 pictures have efficientnet_lite0 vectors of other weights")
    report = stage.run(
        spark, make_lake_config("clusters.k=2", f"images.weights_sha256.efficientnet_lite0={planted.WEIGHTS}")
    )
    assert report.rows_out == 6
    fits = lake.read("cluster_fits").where("current").collect()
    assert [row["weights_sha256"] for row in fits] == [planted.WEIGHTS]


@pytest.mark.slow
def test_a_killed_run_is_completed_by_the_next(clustered, unclustered, killed_after):
    undisturbed = clustered.open()
    wanted = {table: contents(undisturbed, table) for table in TABLES}
    clustered.place.put_down(unclustered)
    deaths = 0
    while True:
        killed_after(1)
        try:
            clustered.run()
            break
        except KeyboardInterrupt:
            deaths += 1
            assert deaths < 20
    # five commits of the categories, four of the kinds of selfie
    assert deaths == 9
    lake = clustered.open()
    assert {table: contents(lake, table) for table in TABLES} == wanted
    assert categories(lake) == expected(range(10))
    assert len(contents(lake, "figure_data")) == 7


@pytest.mark.slow
@pytest.mark.parametrize("last", [4, 5, 7])  # the fit is current; its pictures are assigned; kinds are written
def test_a_refit_that_is_killed_shows_old_categories_or_new_ones(clustered, killed_after, last):
    lake = clustered.open("1")
    rename(lake, "categories", {"Pet": "Cats"})
    put(lake, every([10]))
    killed_after(last)
    with pytest.raises(KeyboardInterrupt):
        clustered.run("clusters.refit=true")
    found = categories(clustered.open())
    assert {found[image_id("cats", number)] for number in range(10)} == {("Cats", None)}
    assert len(found) in (90, 99)
    killed_after(0)
    clustered.run("clusters.refit=true")
    lake = clustered.open()
    assert {name: category for name, (category, _) in categories(lake).items()} == {
        name: "Cats" if category == "Pet" else category for name, (category, _) in expected(range(11)).items()
    }
    for table in ("cluster_sweeps", "cluster_centroids"):
        known = lake.read("cluster_fits").select("purpose", "fit_id")
        assert lake.read(table).join(known, on=["purpose", "fit_id"], how="left_anti").isEmpty()
    assert lake.read("cluster_fits").where("current").count() == 2
    assert lake.read("image_clusters").where(~F.col("fitted")).isEmpty()


@pytest.mark.slow
def test_what_is_to_be_said_of_a_fit_is_said_by_the_run_that_takes_it_over(clustered, unclustered, killed_after):
    clustered.place.put_down(unclustered)
    sampled = "clusters.sweep_sample=60"
    killed_after(2)  # its sweep and clusters are written
    with pytest.raises(KeyboardInterrupt):
        clustered.run(sampled)
    killed_after(0)
    report = clustered.run(sampled)
    assert report.counters["fits"] == 2
    (said,) = [warning for warning in report.warnings if warning.startswith("categories: ")]
    assert "S(k) was measured on a sample of" in said


def test_a_lake_without_tables_has_nothing_pending(spark, make_config, tmp_path):
    lake = Lake(spark, "nowhere", str(tmp_path / "none"))
    assert stage.pending(lake, make_config()) == {"pictures_to_assign": 0, "fits": 0}


def test_every_planted_group_is_expected():
    assert set(NAMES) == set(GROUPS)
