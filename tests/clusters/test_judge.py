from __future__ import annotations

import csv
import itertools
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from profilelake.clusters import judge
from profilelake.clusters.judge import Judged, agreement, agreements, evaluations
from profilelake.errors import ConfigError
from tests.clusters.planted import categories, current
from tests.conftest import versions

FIT = "fit-0123456789abcdef"


def made(name, answers):
    """`answers`: {category: "yny..."}."""
    said = {
        (category, f"{n:064x}"): letter == "y" for category, text in answers.items() for n, letter in enumerate(text)
    }
    return Judged(name, FIT, said)


def kappa(one, other):
    """Cohen 1960, from its definition."""
    n = len(one)
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    expected = sum((one.count(letter) / n) * (other.count(letter) / n) for letter in "yn")
    return (observed - expected) / (1 - expected)


@pytest.mark.parametrize("seed", range(6))
def test_agreement_follows_its_definition(seed):
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(["y", "n"], 40, p=[0.7, 0.3])) for _ in range(2 + seed % 3)]
    judges = [made(str(n), {"Pet": text}) for n, text in enumerate(texts)]
    found = agreement(judges, list(judges[0].answers))
    assert found.accuracy == pytest.approx(statistics.mean(text.count("y") / 40 for text in texts))
    assert found.kappa == pytest.approx(statistics.mean(kappa(*pair) for pair in itertools.combinations(texts, 2)))
    assert found.n == 40


def test_kappa_is_undefined_where_everybody_says_the_same_of_everything():
    judges = [made("a", {"Pet": "yyyy"}), made("b", {"Pet": "yyyy"})]
    assert agreements(judges)["Pet"].kappa is None
    assert agreements([made("a", {"Pet": "yyyy"}), made("b", {"Pet": "nnnn"})])["Pet"].kappa == 0


def test_judges_who_contradict_each_other_have_a_negative_kappa():
    judges = [made("a", {"Pet": "yyny"}), made("b", {"Pet": "nnyn"})]
    found = agreement(judges, list(judges[0].answers)).kappa
    assert found == pytest.approx(kappa("yyny", "nnyn"))
    assert found < 0


def test_evaluations_stand_beside_the_papers_figures():
    judges = [
        made("ann", {"Bed": "yyyyy", "Meal": "yynn", "Pet": "yyyyyyyyny"}),
        made("ben", {"Bed": "yyyyn", "Meal": "yyyn", "Pet": "yyyyyyyyny"}),
    ]
    rows = evaluations(judges, 0.8)
    found = {(row["task"], row["variant"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    assert {(row["paper"], row["artefact"], row["split"]) for row in rows} == {(1, "4.1 categories", FIT)}
    accuracies = {"Bed": 0.9, "Meal": 0.625, "Pet": 0.9}
    for category, value in accuracies.items():
        assert found[category, "judges", "accuracy"]["value"] == pytest.approx(value)
    assert found["Pet", "judges", "accuracy"]["n"] == 10
    assert found["Pet", "judges", "kappa"]["value"] == pytest.approx(1)
    overall = {metric: found["all", "judges", metric] for metric in ("accuracy", "accuracy_sd", "good_categories")}
    assert overall["accuracy"]["value"] == pytest.approx(statistics.mean(accuracies.values()))
    assert overall["accuracy_sd"]["value"] == pytest.approx(statistics.stdev(accuracies.values()))
    assert overall["good_categories"]["value"] == 2
    assert {metric: row["published"] for metric, row in overall.items()} == {
        "accuracy": 0.885,
        "accuracy_sd": 0.0912,
        "good_categories": 39,
    }
    assert found["all", "ann", "accuracy"]["value"] == pytest.approx((1 + 0.5 + 0.9) / 3)
    assert found["all", "ann", "accuracy"]["published"] is None


def test_one_judge_is_not_enough(tmp_path):
    with pytest.raises(ConfigError, match="two or more judges"):
        judge.require_judges(["a.csv"])
    (tmp_path / "x").mkdir()
    for folder in (tmp_path, tmp_path / "x"):
        (folder / "a.csv").write_text("")
    with pytest.raises(ConfigError, match="two judges are called 'a'"):
        judge.require_judges([str(tmp_path / "a.csv"), str(tmp_path / "x" / "a.csv")])
    with pytest.raises(ConfigError, match="no judge is called 'judges'"):
        judge.require_judges([str(tmp_path / "a.csv"), str(tmp_path / "judges.csv")])
    with pytest.raises(ConfigError, match="there is no file"):
        judge.require_judges([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])


@pytest.fixture
def files(tmp_path):
    """The CSVs of judges ann and ben: rows of (category, image_id, judgement)."""

    def write(ann, ben, fit_ben=FIT):
        paths = []
        for name, fit, rows in (("ann", FIT, ann), ("ben", fit_ben, ben)):
            path = tmp_path / f"{name}.csv"
            lines = ["fit_id,category,image_id,judgement", *(",".join((fit, *row)) for row in rows)]
            path.write_text("\n".join(lines) + "\n")
            paths.append(str(path))
        return paths

    return write


GOOD = [("Pet", "a", "y"), ("Meal", "b", "n")]


@pytest.mark.parametrize(
    ("ann", "ben", "message"),
    [
        ([("Pet", "a", "y"), ("Meal", "b", "maybe")], GOOD, "ann.csv line 3: 'maybe' is neither y nor n"),
        (GOOD, [("Pet", "a", ""), ("Meal", "b", "n")], "ben.csv line 2: the judgement is empty; write y or n"),
        ([*GOOD, ("Pet", "a", "y")], GOOD, "ann.csv line 4: this picture of 'Pet' is judged twice"),
        ([*GOOD, ("Pet", "", "y")], GOOD, "ann.csv line 4: category or image_id is empty"),
        ([*GOOD, ("Pet", "c", "y")], GOOD, "ben.csv lacks picture c of 'Pet', which "),
        (GOOD, [*GOOD, ("Pet", "c", "y")], "ann.csv lacks picture c of 'Pet', which "),
        ([], GOOD, "ann.csv holds no judgement"),
    ],
)
def test_bad_judgements_are_told_with_their_line(files, make_config, ann, ben, message):
    with pytest.raises(ConfigError) as found:
        judge.judge_apply(None, make_config(), files(ann, ben))
    assert message in str(found.value)


def test_judges_judge_one_fit(files, make_config):
    with pytest.raises(ConfigError, match=f"ben.csv judges fit fit-other, .*ann.csv fit {FIT}"):
        judge.judge_apply(None, make_config(), files(GOOD, GOOD, "fit-other"))


def test_a_long_list_of_faults_is_cut(files, make_config):
    bad = [("Pet", str(n), "?") for n in range(50)]
    with pytest.raises(ConfigError) as found:
        judge.judge_apply(None, make_config(), files(bad, bad))
    assert str(found.value).splitlines()[-1] == "and 30 more"


@pytest.mark.slow
def test_pictures_are_drawn_judged_and_evaluated(clustered, tmp_path):
    spark, config = clustered.spark, clustered.config("judge.pictures=6")
    done = judge.judge_export(spark, config, str(tmp_path / "judge"))
    assert (done["categories"], done["pictures"]) == (6, 36)
    with open(done["csv"], encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    held = categories(clustered.open())
    assert all(held[row["image_id"]][0] == row["category"] for row in rows)
    numbers = [(row["category"], row["n"]) for row in rows]
    assert numbers == [(category, n) for category in sorted({one for one, _ in held.values()}) for n in "123456"]
    assert all(Image.open(Path(tmp_path, "judge", row["sheet"])).format == "JPEG" for row in rows)
    again = judge.judge_export(spark, config, str(tmp_path / "again"))
    assert Path(again["csv"]).read_bytes() == Path(done["csv"]).read_bytes()
    other = judge.judge_export(spark, clustered.config("judge.pictures=6", "judge.seed=8"), str(tmp_path / "other"))
    assert Path(other["csv"]).read_bytes() != Path(done["csv"]).read_bytes()

    paths = []
    for name, wrong in (("ann", 1), ("ben", 2)):
        paths.append(str(tmp_path / f"{name}.csv"))
        with open(paths[-1], "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            for row in rows:
                said = "n" if row["category"] == "Meal" and int(row["n"]) <= wrong else "Yes"
                writer.writerow({**row, "judgement": said})
    result = judge.judge_apply(spark, config, paths)
    accuracies = [1.0] * 5 + [((5 / 6) + (4 / 6)) / 2]
    assert result["accuracy"] == pytest.approx(statistics.mean(accuracies))
    assert (result["judges"], result["good_categories"]) == (["ann", "ben"], 5)
    lake = clustered.open()
    written = lake.read("evaluations").where("paper = 1").collect()
    assert {row["split"] for row in written} == {current(lake)}
    assert len(written) == 6 * 2 + 4 + 2
    row = next(row for row in written if (row["task"], row["metric"]) == ("Meal", "accuracy"))
    assert (row["value"], row["n"]) == (pytest.approx(0.75), 6)

    before = versions(lake)
    strange = Path(paths[0]).read_text(encoding="utf-8").replace(rows[0]["image_id"], "f" * 64)
    for path in paths:
        Path(path).write_text(strange, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"judges picture {'f' * 64}, which this lake does not have"):
        judge.judge_apply(spark, config, paths)
    assert versions(clustered.open()) == before
