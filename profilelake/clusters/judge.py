"""How good the categories are, by the eyes of two or more people (paper 1, 5.1: two volunteers, 500 pictures each).

`judge_export` draws pictures of every category for people to judge, `judge_apply` reads what they say.
"""

from __future__ import annotations

import itertools
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel
from sklearn.metrics import cohen_kappa_score

from profilelake.clusters import csvs, sheets
from profilelake.clusters.names import ALL_CATEGORIES
from profilelake.clusters.review import current_fit
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.frames import local_frame
from profilelake.lake import Lake, open_lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.reports.publish import copy_folder

log = logging.getLogger("profilelake.clusters")

STAGE = "judge_categories"
COLUMNS = ("fit_id", "category", "n", "image_id", "sheet", "judgement")
# What tables call all judges together.
_JUDGES = "judges"
_NEEDED = ("fit_id", "category", "image_id", "judgement")

PAPER = 1
ARTEFACT = "4.1 categories"
# Paper 1, 5.1: mean accuracy, its standard deviation over the categories, categories above 80 %.
PUBLISHED = {"accuracy": 0.885, "accuracy_sd": 0.0912, "good_categories": 39.0}

_YES, _NO = frozenset({"y", "yes", "1", "true"}), frozenset({"n", "no", "0", "false"})


@dataclass(frozen=True)
class Judged:
    """One judge's answers: {(category, image_id): whether the picture belongs to the category}."""

    judge: str
    fit_id: str
    answers: Mapping[tuple[str, str], bool]


@dataclass(frozen=True)
class Agreement:
    """What several judges say of one category, or of all pictures together.

    `accuracy`: mean over the judges of the share of pictures that are right; `kappa`: Cohen's, mean over the pairs of
    judges; None where it is undefined: a pair said the same of everything; `n`: pictures.
    """

    accuracy: float
    kappa: float | None
    n: int


def judge_export(spark: SparkSession, config: Config, out: str) -> dict[str, Any]:
    """Write `<out>/judge.csv` and sheets of up to `judge.pictures` pictures a category, drawn with `judge.seed`.

    The number below a picture is the column `n`. Every judge fills `judgement` (y or n) in an own copy of the CSV.

    Args:
        spark: the session.
        config: of the lake.
        out: a folder, local or any Hadoop URI; it is made.

    Returns:
        For the job's summary: categories, pictures, the CSV's path.

    Raises:
        ConfigError: the lake has no categories yet.
    """
    lake = open_lake(spark, config)
    fit = current_fit(lake, "categories")
    drawn = draw(lake.read("v_image_categories"), config.judge.pictures, config.judge.seed)
    drawn = drawn.persist(StorageLevel.DISK_ONLY)
    try:
        counts = drawn.groupBy("category").count().orderBy("category").collect()
        pictures = lake.read("images").select("image_id", "content").join(drawn, on="image_id", how="inner")
        small = sheets.thumbnails(pictures, config.crawl.max_image_pixels).persist(StorageLevel.DISK_ONLY)
        try:
            with tempfile.TemporaryDirectory(prefix="profilelake-judge-") as scratch:
                rows: list[tuple[Any, ...]] = []
                for place, counted in enumerate(counts):
                    rows += _category(Path(scratch), small, counted["category"], place, fit["fit_id"], config)
                (Path(scratch) / "judge.csv").write_bytes(csvs.render(COLUMNS, rows))
                copy_folder(spark, scratch, out)
        finally:
            small.unpersist()
    finally:
        drawn.unpersist()
    path = f"{out.rstrip('/')}/judge.csv"
    log.info("every judge fills the column judgement (y or n) in an own copy of %s", path)
    return {"fit_id": fit["fit_id"], "categories": len(counts), "pictures": len(rows), "csv": path}


def draw(categorised: DataFrame, most: int, seed: int) -> DataFrame:
    """Up to `most` pictures a category, the same in every run: image_id, category, n (from 1).

    Args:
        categorised: image_id, category.
        most: pictures a category.
        seed: of the draw.
    """
    chance = F.xxhash64(F.lit(seed), "category", "image_id")
    order = Window.partitionBy("category").orderBy(chance, "image_id")
    drawn = categorised.select("image_id", "category", F.row_number().over(order).alias("n"))
    return drawn.where(F.col("n") <= most)


def _category(
    folder: Path, small: DataFrame, category: str, place: int, fit_id: str, config: Config
) -> list[tuple[Any, ...]]:
    """Write a category's sheets, a hundred pictures a page; its rows of the CSV."""
    pictures = small.where(F.col("category") == category).select("image_id", "n", "thumbnail").orderBy("n").collect()
    slug = re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-") or "category"
    rows: list[tuple[Any, ...]] = []
    pages = -(-len(pictures) // sheets.PAGE)
    for page in range(pages):
        shown = pictures[page * sheets.PAGE : (page + 1) * sheets.PAGE]
        name = f"sheets/{place:03d}-{slug}-{page + 1}.jpg"
        title = f"{category}, page {page + 1} of {pages}"
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(
            sheets.sheet(
                [row["thumbnail"] for row in shown],
                max_pixels=config.crawl.max_image_pixels,
                title=title,
                captions=[str(row["n"]) for row in shown],
            )
        )
        rows += [(fit_id, category, row["n"], row["image_id"], name, "") for row in shown]
    return rows


def judge_apply(spark: SparkSession, config: Config, paths: Sequence[str]) -> dict[str, Any]:
    """Read the CSVs of two or more judges and write to `evaluations` how good the categories are.

    Rows of paper 1, artefact `4.1 categories`, split = the fit that was judged: `accuracy` and `kappa` a category and
    of `all` (its accuracy is the mean over the categories), each judge's own accuracy as a variant, `accuracy_sd` (over
    the categories, n - 1 below the line) and `good_categories` (accuracy above `judge.good`), beside the paper's.

    Args:
        spark: the session.
        config: of the lake.
        paths: a CSV a judge; its file name is the judge's name.

    Returns:
        For the job's summary: the figures of `all`.

    Raises:
        ConfigError: fewer than two judges, two of one name, a judgement that is neither y nor n, a picture twice or
            unknown, judges who judged different pictures or fits; every fault with its file and line.
    """
    require_judges(paths)
    judges = [_judged(spark, path) for path in paths]
    _same_pictures(judges, paths)

    @stage(STAGE)
    def use(context: Context) -> StageReport:
        lake = context.lake
        _known_pictures(lake, judges[0], paths[0])
        rows = evaluations(judges, config.judge.good)
        lake.write("evaluations", lake.frame("evaluations", rows))
        pictures = len(judges[0].answers)
        return StageReport(STAGE, rows_in=pictures, rows_out=pictures, counters={"judges": len(judges)})

    use(spark, config)
    every = agreements(judges)
    accuracies = [one.accuracy for one in every.values()]
    return {
        "fit_id": judges[0].fit_id,
        "judges": [one.judge for one in judges],
        "categories": len(every),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_sd": _sd(accuracies),
        "good_categories": sum(value > config.judge.good for value in accuracies),
        "kappa": agreement(judges, list(judges[0].answers)).kappa,
    }


def require_judges(paths: Sequence[str]) -> None:
    """What can be found wrong with the judges' files before Spark starts.

    Raises:
        ConfigError: fewer than two, two of one name, one called `judges`, a local file is missing.
    """
    if len(paths) < 2:
        raise ConfigError("judge-apply needs the CSVs of two or more judges: --csv first.csv --csv second.csv")
    names = [_name(path) for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two judges are called {twice[0]!r}: a file's name is its judge's, give each an own one")
    if _JUDGES in names:
        raise ConfigError(
            f"no judge is called {_JUDGES!r}, which tables call all of them: name the file after its judge"
        )
    csvs.require(paths)


def agreements(judges: Sequence[Judged]) -> dict[str, Agreement]:
    """What the judges say of each category, by name; all must have judged the same pictures."""
    keys = sorted(judges[0].answers)
    return {
        category: agreement(judges, list(group)) for category, group in itertools.groupby(keys, key=lambda key: key[0])
    }


def agreement(judges: Sequence[Judged], keys: Sequence[tuple[str, str]]) -> Agreement:
    """What the judges say of some pictures."""
    answers = np.array([[judge.answers[key] for key in keys] for judge in judges], bool)
    kappas = [
        float(cohen_kappa_score(one, other, labels=[False, True]))
        for one, other in itertools.combinations(answers, 2)
        if not (one == one[0]).all() or not (other == one[0]).all()  # 0 / 0 where both say the same of everything
    ]
    defined = bool(kappas) and len(kappas) == len(judges) * (len(judges) - 1) // 2
    return Agreement(float(answers.mean(axis=1).mean()), float(np.mean(kappas)) if defined else None, len(keys))


def evaluations(judges: Sequence[Judged], good: float) -> list[dict[str, Any]]:
    """Rows of `evaluations`; see `judge_apply`."""
    fit_id, every = judges[0].fit_id, agreements(judges)
    accuracies = [one.accuracy for one in every.values()]
    pooled = agreement(judges, list(judges[0].answers))

    def row(task: str, variant: str, metric: str, value: float | None, n: int) -> dict[str, Any]:
        return {
            "paper": PAPER,
            "artefact": ARTEFACT,
            "task": task,
            "variant": variant,
            "split": fit_id,
            "metric": metric,
            "value": value,
            "n": n,
            "published": PUBLISHED.get(metric) if task == ALL_CATEGORIES and variant == _JUDGES else None,
        }

    rows = []
    for category, one in every.items():
        rows.append(row(category, _JUDGES, "accuracy", one.accuracy, one.n))
        rows.append(row(category, _JUDGES, "kappa", one.kappa, one.n))
    rows.append(row(ALL_CATEGORIES, _JUDGES, "accuracy", float(np.mean(accuracies)), len(accuracies)))
    rows.append(row(ALL_CATEGORIES, _JUDGES, "accuracy_sd", _sd(accuracies), len(accuracies)))
    rows.append(
        row(
            ALL_CATEGORIES,
            _JUDGES,
            "good_categories",
            float(sum(value > good for value in accuracies)),
            len(accuracies),
        )
    )
    rows.append(row(ALL_CATEGORIES, _JUDGES, "kappa", pooled.kappa, pooled.n))
    for judge in judges:
        own = [one.accuracy for one in agreements([judge]).values()]
        rows.append(row(ALL_CATEGORIES, judge.judge, "accuracy", float(np.mean(own)), len(judge.answers)))
    return rows


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).stem


def _judged(spark: SparkSession, path: str) -> Judged:
    faults: list[str] = []
    answers: dict[tuple[str, str], bool] = {}
    fits: dict[str, int] = {}
    for line in csvs.read(spark, path, _NEEDED):
        where = f"{path} line {line.number}"
        cells = {name: line.cells[name].strip() for name in _NEEDED}
        said = cells["judgement"].lower()
        key = (cells["category"], cells["image_id"])
        fits.setdefault(cells["fit_id"], line.number)
        if not all(key):
            faults.append(f"{where}: category or image_id is empty")
        elif key in answers:
            faults.append(f"{where}: this picture of {key[0]!r} is judged twice")
        if said not in _YES | _NO:
            what = f"{cells['judgement']!r} is neither y nor n" if said else "the judgement is empty; write y or n"
            faults.append(f"{where}: {what}")
        answers.setdefault(key, said in _YES)
    if len(fits) > 1:
        first, second, *_ = fits
        faults.append(f"{path} line {fits[second]}: this row is of fit {second}, those above are of {first}")
    if not answers and not faults:
        faults.append(f"{path} holds no judgement")
    if faults:
        raise ConfigError("\n".join(faults[:20] + ([f"and {len(faults) - 20} more"] if len(faults) > 20 else [])))
    return Judged(_name(path), next(iter(fits)), answers)


def _same_pictures(judges: Sequence[Judged], paths: Sequence[str]) -> None:
    first = judges[0]
    for judge, path in zip(judges[1:], paths[1:], strict=True):
        if judge.fit_id != first.fit_id:
            raise ConfigError(
                f"{path} judges fit {judge.fit_id}, {paths[0]} fit {first.fit_id}: take files of one export"
            )
        only_here = sorted(set(judge.answers) - set(first.answers))
        only_there = sorted(set(first.answers) - set(judge.answers))
        if only_here or only_there:
            category, image_id = (only_here or only_there)[0]
            lacking, having = (paths[0], path) if only_here else (path, paths[0])
            raise ConfigError(
                f"{lacking} lacks picture {image_id} of {category!r}, which {having} has: all judge the same pictures"
            )


def _known_pictures(lake: Lake, judged: Judged, path: str) -> None:
    """Raises ConfigError when the fit or a picture is not of this lake."""
    fits = lake.read("cluster_fits").where((F.col("purpose") == "categories") & (F.col("fit_id") == judged.fit_id))
    if fits.isEmpty():
        raise ConfigError(f"{path} judges fit {judged.fit_id}, which this lake does not have: is it of another lake?")
    ids = local_frame(lake.spark, [(image_id,) for _, image_id in sorted(judged.answers)], "image_id string")
    unknown = (
        ids.join(lake.read("images").select("image_id"), on="image_id", how="left_anti").orderBy("image_id").first()
    )
    if unknown is not None:
        raise ConfigError(f"{path} judges picture {unknown['image_id']}, which this lake does not have")
