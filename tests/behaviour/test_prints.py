"""Tables as they are printed: our numbers beside the paper's, as CSV and LaTeX, and the files of a study."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from profilelake.behaviour import prints, published
from profilelake.behaviour.figures import FIGURES
from profilelake.reports.prints import Printed, as_csv, as_latex
from profilelake.training.results import EvaluationRow
from tests.behaviour import drawn


def accuracy(artefact: str, task: str, features: str, value: float | None = 0.8, **more: object) -> list[EvaluationRow]:
    given = {"low": 0.7, "high": 0.9, "n": 140, "baseline": 0.5, "published": None, "note": None} | more
    said = ("cross-validation", "accuracy", value)
    return [
        EvaluationRow(artefact, task, features, *said, **given),  # type: ignore[arg-type]
        EvaluationRow(artefact, task, features, "cross-validation", "p_value", 0.0004, n=140),
        EvaluationRow(artefact, task, features, "cross-validation", "folds", 10.0, n=140),
        EvaluationRow(artefact, task, features, "cross-validation", "fold_std", 0.05, n=10),
    ]


@pytest.fixture
def evaluations() -> list[EvaluationRow]:
    """In no order."""
    return [
        *accuracy("table 6", "R7_Pets & <co>", "measures"),
        *accuracy("table 6", "R7_Travel", "measures", published=0.876),
        *accuracy("table 2", "R2", "F+I", 0.83521, published=0.8352),
        *accuracy("table 2", "R2", "F", published=0.6584),
        *accuracy("5.2.1", "R1", "doc2vec", note="the paper: below 0.55"),
        *accuracy("5.2.1", "R1", "LSTM", published=0.6786),
        *accuracy("table 2", "R1", "F", None, low=None, high=None, note="only 8 users"),
        *accuracy("table 4", "R5", "F"),
        *accuracy("table 4", "R4", "F"),
        EvaluationRow("table 1", "Meal", "category", "posted", "pictures", 7.0, n=7),
        EvaluationRow("table 1", "Outdoor Selfie", "category", "posted", "pictures", 9.0, n=9),
        EvaluationRow("table 1", "Own Name", "category", "posted", "pictures", 7.0, n=7),
        EvaluationRow("table 1", "all", "category", "posted", "pictures", 23.0, n=23),
        EvaluationRow("table 3", "Selfie", "kind", "posted", "pictures", 9.0, n=9),
        EvaluationRow("table 3", "Outdoor Selfie", "kind", "posted", "pictures", 9.0, n=9),
        EvaluationRow("table 3", "One-face Selfie", "faces", "posted", "pictures", 9.0, n=9),
        EvaluationRow("5.2.3 ranking", "selfie_frequency", "Travel", "users", "spearman", 0.2),
    ]


def by_name(evaluations: list[EvaluationRow]) -> dict[str, Printed]:
    return {table.name: table for table in prints.tables(evaluations)}


def test_tables_are_in_the_papers_order_with_its_figures(evaluations: list[EvaluationRow]) -> None:
    found = by_name(evaluations)
    assert list(found) == ["table 1", "table 2", "table 3", "table 4", "table 6"]
    for table in found.values():
        assert {len(cells) for cells in table.rows} == {len({*table.columns})}
    two = found["table 2"]
    assert [row[:3] for row in two.rows] == [
        ("R1", "selfie frequency", "F"),
        ("R2", "selfie inertia", "F"),
        ("R2", "selfie inertia", "F+I"),
        ("R1", "selfie frequency", "captions, LSTM"),
        ("R1", "selfie frequency", "captions, doc2vec"),
    ]
    assert two.rows[2][3:] == ("83.52", "70.00", "90.00", "50.00", "< 0.001", "140", "10", "83.52")
    assert two.rows[0][3:6] == ("", "", "")
    assert two.notes == ["R1, F: only 8 users", "R1, captions, doc2vec: the paper: below 0.55"]
    assert [row[0] for row in found["table 4"].rows] == ["R4", "R5"]
    assert [row[1] for row in found["table 6"].rows] == ["Travel", "Pets & <co>"]
    assert all(len(row) == len(table.columns) for table in found.values() for row in table.rows)


def test_counts_stand_beside_the_papers_counts(evaluations: list[EvaluationRow]) -> None:
    found = by_name(evaluations)
    one = found["table 1"]
    assert one.rows[:3] == [("Outdoor Selfie", "9", "2359"), ("Meal", "7", "2977"), ("Own Name", "7", "")]
    assert one.rows[-1] == ("Total", "23", "109545")
    assert ("Pet", "", "1180") in one.rows
    assert len(one.rows) == len(published.TABLE_1) + 2
    assert "109,690" in one.notes[0]
    three = found["table 3"].rows
    assert ("Outdoor Selfie", "kind", "9", "2359") in three
    assert ("Face Mask Selfie", "kind", "", "1467") in three
    assert ("One-face Selfie", "faces", "9", "8960") in three
    assert len(three) == len(published.TABLE_3)


def test_what_was_not_measured_has_no_table(evaluations: list[EvaluationRow]) -> None:
    assert prints.tables([]) == []
    assert list(by_name([row for row in evaluations if row.artefact == "table 4"])) == ["table 4"]


def test_csv_holds_the_cells(evaluations: list[EvaluationRow]) -> None:
    table = by_name(evaluations)["table 6"]
    read = list(csv.reader(io.StringIO(as_csv(table).decode("utf-8-sig"))))
    assert read == [list(table.columns), *map(list, table.rows)]


def test_latex_sets_what_stands_there(evaluations: list[EvaluationRow]) -> None:
    text = as_latex(by_name(evaluations)["table 6"])
    assert r"Pets \& \textless{}co\textgreater{}" in text
    assert r"R7\_Travel & Travel & measures & 80.00 & 70.00" in text
    assert r"\textless{} 0.001" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert columns
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns.group(1)) - 1 for line in body)
    empty = as_latex(by_name(evaluations)["table 2"])
    assert "& F & -- & -- & -- &" in empty
    assert r"\par\footnotesize R1, F: only 8 users" in empty


def test_typical_categories_are_the_papers_then_the_largest() -> None:
    clusters = [
        {"category": name, "size": size, "exemplar_image_ids": [f"{name}{size}-{n}" for n in range(20)]}
        for name, size in (("Pet", 50), ("Toy", 40), ("Meal", 9), ("Pet", 5), ("Bed", 45), ("Star", 41))
    ]
    found = prints.chosen(clusters, prints.TYPICAL)
    assert list(found) == ["Meal", "Pet", "Bed", "Star"]
    assert found["Pet"][:4] == ["Pet50-0", "Pet5-0", "Pet50-1", "Pet5-1"]
    assert all(len(ids) == 12 for ids in found.values())
    assert prints.chosen([], prints.TYPICAL) == {}


def test_a_contact_sheet_has_a_block_a_category_and_leaves_gaps() -> None:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (200, 0, 0)).save(out, "JPEG")
    picture = out.getvalue()
    png = prints.contact_sheet({"Flower": [picture] * 12, "Meal": [None, picture], "Pet": [b"broken"]}, 10**6)
    page = Image.open(io.BytesIO(png)).convert("RGB")
    assert page.format is None
    assert page.size == (2 * 510 + 18, 2 * 414 + 18)
    reds = {tuple(page.getpixel((x, y)))[:2] for x, y in ((60, 100), (60, 350), (510 + 18 + 190, 100))}  # type: ignore[arg-type]
    assert all(red > 150 and green < 60 for red, green in reds)
    assert page.getpixel((510 + 18 + 60, 100)) == (232, 235, 240)  # a picture that is gone


def test_all_is_written_as_files(tmp_path: Path, evaluations: list[EvaluationRow]) -> None:
    rows = [row for row in drawn.rows() if row.figure in ("figure 9", "figure 10")]
    written = prints.write_all(tmp_path / "new", rows, prints.tables(evaluations), {"figure 7": b"png"})
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert sorted(path.name for path in written) == names
    assert names == sorted(
        [f"figure_{n}.{suffix}" for n in (9, 10) for suffix in ("pdf", "png", "svg")]
        + ["figure_7.png"]
        + [f"table_{n}.{suffix}" for n in (1, 2, 3, 4, 6) for suffix in ("csv", "tex")]
    )
    assert len(FIGURES) > 2  # figures without rows have no file
    assert (tmp_path / "new" / "figure_9.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "new" / "figure_7.png").read_bytes() == b"png"
