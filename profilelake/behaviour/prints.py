"""The printed tables of paper 1 beside what the paper printed, and the files of its figures and tables.

Tables 1, 2, 3, 4 and 6 come from rows of `evaluations` alone, so the training writes them and a report shows them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pyspark.sql import Row
from pyspark.sql import functions as F

from profilelake.behaviour import figures, published
from profilelake.behaviour.relations import FACES
from profilelake.clusters import sheets
from profilelake.lake import Lake
from profilelake.reports.prints import Printed, p_value, per_cent, whole, write_files
from profilelake.training.results import EvaluationRow, FigureRow

# What the sides of a task differ in.
TASKS = {
    "R1": "selfie frequency",
    "R2": "selfie inertia",
    "R3": "selfie singleness",
    "R4": "group selfie tendency",
    "R5": "outdoor selfie tendency",
    "R6_holding_something": "holding something tendency",
    "R6_face_mask": "face mask tendency",
}
_OF_ATTRIBUTE = "R7_"
FROM_TEXT = {"LSTM": "captions, LSTM", "doc2vec": "captions, doc2vec"}
_FEATURES = ("F", "I", "S", "F+I", "F+S", "S+I", "F+S+I", "measures", *FROM_TEXT)
_TEXT_ARTEFACT = "5.2.1"

# Figure 2 shows these where a lake has them, else its largest categories (paper 1, figure 2).
TYPICAL = ("Flower", "Meal", "Cosmetic", "Chat Screenshot")
_BLOCKS, _PER_BLOCK, _BLOCK_COLUMNS, _SIDE = 4, 12, 4, 120


@dataclass(frozen=True)
class Accuracy:
    """How well one task was told from some features. Shares of 1; None where it was not measured, `note` says why."""

    task: str
    features: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    p: float | None
    n: int | None
    folds: int | None
    fold_std: float | None
    published: float | None
    note: str | None

    @property
    def says(self) -> str:
        """What is told apart."""
        return TASKS.get(self.task, self.task.removeprefix(_OF_ATTRIBUTE))


def accuracies(evaluations: Iterable[EvaluationRow], artefact: str) -> list[Accuracy]:
    """The figures of table 2, 4 or 6, in the paper's order; in table 2 those that are from captions (5.2.1) last."""
    wanted = (artefact, _TEXT_ARTEFACT) if artefact == "table 2" else (artefact,)
    found: dict[tuple[str, str], dict[str, EvaluationRow]] = {}
    for row in evaluations:
        if row.artefact in wanted:
            found.setdefault((row.task, row.variant), {})[row.metric] = row
    return [
        _accuracy(task, features, metrics)
        for (task, features), metrics in sorted(found.items(), key=lambda item: _order(*item[0]))
        if "accuracy" in metrics
    ]


def _accuracy(task: str, features: str, metrics: Mapping[str, EvaluationRow]) -> Accuracy:
    row, folds = metrics["accuracy"], _value(metrics.get("folds"))
    return Accuracy(
        task=task,
        features=FROM_TEXT.get(features, features),
        value=row.value,
        low=row.low,
        high=row.high,
        baseline=row.baseline,
        p=_value(metrics.get("p_value")),
        n=row.n,
        folds=None if folds is None else int(folds),
        fold_std=_value(metrics.get("fold_std")),
        published=row.published,
        note=row.note,
    )


def _value(row: EvaluationRow | None) -> float | None:
    return None if row is None else row.value


def _order(task: str, features: str) -> tuple[bool, int, str, int, str]:
    known = (*TASKS, *(_OF_ATTRIBUTE + attribute for attribute in published.TABLE_6))
    place = known.index(task) if task in known else len(known)
    column = _FEATURES.index(features) if features in _FEATURES else len(_FEATURES)
    return features in FROM_TEXT, place, task, column, features


def tables(evaluations: Sequence[EvaluationRow]) -> list[Printed]:
    """Tables 1, 2, 3, 4 and 6; one that nothing was measured for is left out."""
    captions = {
        "table 2": "Cross-validated accuracy of selfie frequency, inertia and singleness; from captions for comparison",
        "table 4": "Cross-validated accuracy of the selfie tendencies, from feature F",
        "table 6": "Cross-validated accuracy of the attributes, from the seven measures",
    }
    made = [_table_1(evaluations), _table_3(evaluations)]
    made += [_accuracy_table(name, said, accuracies(evaluations, name)) for name, said in captions.items()]
    return sorted((table for table in made if table.rows), key=lambda table: table.name)


def _accuracy_table(name: str, caption: str, rows: Sequence[Accuracy]) -> Printed:
    return Printed(
        name=name,
        caption=f"{caption}. Per cent; 95 % Wilson interval; majority baseline; p by permutation.",
        columns=(
            "Task",
            "Told apart",
            "Features",
            "Accuracy",
            "From",
            "To",
            "Baseline",
            "p",
            "Users",
            "Folds",
            "Paper",
        ),
        texts=3,
        rows=[
            (
                row.task,
                row.says,
                row.features,
                *(per_cent(value) for value in (row.value, row.low, row.high, row.baseline)),
                p_value(row.p),
                whole(row.n),
                whole(row.folds),
                per_cent(row.published),
            )
            for row in rows
        ],
        notes=[f"{row.task}, {row.features}: {row.note}" for row in rows if row.note],
    )


def _counts(evaluations: Iterable[EvaluationRow], artefact: str, variant: str) -> dict[str, float | None]:
    return {
        row.task: row.value
        for row in evaluations
        if (row.artefact, row.variant, row.metric) == (artefact, variant, "pictures")
    }


def _table_1(evaluations: Sequence[EvaluationRow]) -> Printed:
    counts = _counts(evaluations, "table 1", "category")
    total = counts.pop("all", None)
    ours = sorted(counts, key=lambda name: (-(counts[name] or 0), name))
    theirs = [name for name in sorted(published.TABLE_1) if name not in counts]
    rows = [(name, whole(counts.get(name)), whole(published.TABLE_1.get(name))) for name in (*ours, *theirs)]
    said = f"the paper's rows add up to {sum(published.TABLE_1.values()):,}, its printed total is another"
    return Printed(
        "table 1",
        "Posted pictures by category; one posted twice counts twice.",
        ("Category", "Pictures", "Paper"),
        1,
        [*rows, ("Total", whole(total), whole(published.TABLE_1_TOTAL))] if counts else [],
        [said] if counts else [],
    )


def _table_3(evaluations: Sequence[EvaluationRow]) -> Printed:
    rows = []
    for variant in ("kind", "faces"):
        counts = _counts(evaluations, "table 3", variant)
        printed = [name for name in published.TABLE_3 if (name in FACES) == (variant == "faces")]
        names = [*(name for name in printed if counts), *sorted(set(counts) - set(printed))]
        rows += [(name, variant, whole(counts.get(name)), whole(published.TABLE_3.get(name))) for name in names]
    return Printed(
        "table 3",
        "Posted selfies by kind, and by the faces found in them.",
        ("Selfies", "By", "Pictures", "Paper"),
        2,
        rows,
    )


def contact_sheets(lake: Lake, max_pixels: int) -> dict[str, bytes]:
    """Figures 2 and 7 as PNG, by name: up to four typical categories, and the kinds of selfie; twelve pictures each,
    those nearest to the middle. One whose pictures have no categories, or no kinds, is left out.

    Args:
        lake: what it stands on is read as it is now.
        max_pixels: a picture with more is not decoded.
    """
    found = {}
    for figure, purpose, wanted in (("figure 2", "categories", TYPICAL), ("figure 7", "selfie", ())):
        blocks = chosen(exemplars(lake, purpose), wanted)
        if blocks:
            small = _thumbnails(lake, [image_id for ids in blocks.values() for image_id in ids], max_pixels)
            pictures = {name: [small.get(image_id) for image_id in ids] for name, ids in blocks.items()}
            found[figure] = contact_sheet(pictures, max_pixels)
    return found


def exemplars(lake: Lake, purpose: str) -> list[Row]:
    """`category`, `size`, `exemplar_image_ids` of the current fit's clusters, largest first."""
    current = lake.read("cluster_fits").where((F.col("purpose") == purpose) & F.col("current")).select("fit_id")
    return (
        lake.read("cluster_centroids")
        .where(F.col("purpose") == purpose)
        .join(current, on="fit_id", how="left_semi")
        .orderBy(F.desc("size"), "cluster_id")
        .select("category", "size", "exemplar_image_ids")
        .collect()
    )


def chosen(clusters: Iterable[Row | Mapping[str, Any]], wanted: Sequence[str]) -> dict[str, list[str]]:
    """Up to four categories with the ids of twelve pictures each: the wanted ones that there are, in that order, then
    the largest; a category's pictures are its clusters' in turn."""
    lists: dict[str, list[Sequence[str]]] = {}
    sizes: dict[str, int] = {}
    for cluster in clusters:
        name = cluster["category"]
        lists.setdefault(name, []).append(cluster["exemplar_image_ids"])
        sizes[name] = sizes.get(name, 0) + cluster["size"]
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))
    names = [*(name for name in wanted if name in sizes), *(name for name in largest if name not in wanted)][:_BLOCKS]
    return {name: _in_turn(lists[name])[:_PER_BLOCK] for name in names}


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    longest = max((len(ids) for ids in lists), default=0)
    return list(dict.fromkeys(ids[n] for n in range(longest) for ids in lists if n < len(ids)))


def _thumbnails(lake: Lake, image_ids: Sequence[str], max_pixels: int) -> dict[str, bytes]:
    # a literal list, not a join: Delta then skips the files that hold none of them
    wanted = lake.read("images").where(F.col("image_id").isin(list(image_ids))).select("image_id", "content")
    rows = sheets.thumbnails(wanted, max_pixels, _SIDE).collect()
    return {row["image_id"]: bytes(row["thumbnail"]) for row in rows if row["thumbnail"] is not None}


def contact_sheet(blocks: Mapping[str, Sequence[bytes | None]], max_pixels: int) -> bytes:
    """A PNG with a titled block of pictures for each name, two blocks a row."""
    drawn = [
        Image.open(
            io.BytesIO(
                sheets.sheet(
                    [*pictures, *[None] * (_BLOCK_COLUMNS - len(pictures))],
                    max_pixels=max_pixels,
                    title=name,
                    columns=_BLOCK_COLUMNS,
                    side=_SIDE,
                    format="PNG",
                )
            )
        )
        for name, pictures in blocks.items()
    ]
    width, height = max(each.width for each in drawn), max(each.height for each in drawn)
    gap = 18
    columns, lines = min(2, len(drawn)), -(-len(drawn) // 2)
    page = Image.new("RGB", (columns * width + (columns - 1) * gap, lines * height + (lines - 1) * gap), "white")
    for place, each in enumerate(drawn):
        page.paste(each, (place % 2 * (width + gap), place // 2 * (height + gap)))
    out = io.BytesIO()
    page.save(out, "PNG", optimize=True)
    return out.getvalue()


def write_all(
    folder: Path, rows: Sequence[FigureRow], printed: Sequence[Printed], contact: Mapping[str, bytes]
) -> list[Path]:
    """Write figure_N.svg, .pdf and .png, contact sheets as figure_N.png, table_N.csv and .tex to a local folder, which
    is made.

    Args:
        folder: files of the same name are replaced.
        rows: of `figure_data`; a figure without any is left out.
        printed: as `tables` returns them.
        contact: as `contact_sheets` returns them.

    Returns:
        The files, in the order in which they were written.
    """
    contents: dict[str, bytes] = {}
    held = {row.figure for row in rows}
    for figure in figures.FIGURES:
        if figure in held:
            drawn = figures.draw(figure, rows)
            contents |= {f"{figure}.{format}": figures.save(drawn, format) for format in ("svg", "pdf", "png")}
    contents |= {f"{figure}.png": png for figure, png in contact.items()}
    return write_files(folder, contents, printed)
