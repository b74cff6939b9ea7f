"""The tables of an evaluation of interests as they are printed, and the files of its figures and tables.

They come from rows of `evaluations` and `figure_data` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from profilelake.interests import published
from profilelake.interests.counting import TOP
from profilelake.interests.results import DIFFERENCE, DOMAINS, F1, MATCHES, TABLE, USERS
from profilelake.reports import plotting
from profilelake.reports.prints import Printed, per_cent, whole, write_files
from profilelake.training.results import EvaluationRow, FigureRow

_MATCHES = [str(number) for number in range(TOP + 1)]
_ENDS = ("From", "To")
_MEANS = tuple(f"{of}{part}" for of in ("Matches", "F1") for part in ("", " from", " to", " by chance"))

Metrics = Mapping[str, EvaluationRow]
"""Rows by their metric."""


def tables(evaluations: Iterable[EvaluationRow]) -> list[Printed]:
    """Table 1 with the paper's own columns below, the comparison of ways to count, results by number of pictures, and
    the domains; one that nothing was measured for is left out."""
    found: dict[tuple[str, str, str, str], dict[str, EvaluationRow]] = {}
    for row in sorted(evaluations, key=lambda each: each.task):  # else in their order
        found.setdefault((row.artefact, row.task, row.variant, row.split), {})[row.metric] = row
    whole_users = {
        (task, variant): metrics
        for (artefact, task, variant, split), metrics in found.items()
        if (artefact, split) == (TABLE, USERS)
    }
    of_groups = {
        (task, variant, split): metrics
        for (artefact, task, variant, split), metrics in found.items()
        if artefact == TABLE and split != USERS
    }
    of_domains = {key[1:]: metrics for key, metrics in found.items() if key[0] == DOMAINS}
    made = [_table_1(whole_users), _comparison(whole_users), _by_pictures(of_groups), _domains(of_domains)]
    return [table for table in made if table.rows]


def _table_1(found: Mapping[tuple[str, str], Metrics]) -> Printed:
    ours = {key: metrics for key, metrics in found.items() if "," not in key[1]}
    theirs = [
        (
            published.RELATION,
            f"{network} (paper)",
            whole(published.USERS),
            *(per_cent(users / published.USERS) for users in column.users),
            f"{column.matches:.2f}",
            *[""] * 3,
            _share(column.f1),
            *[""] * 6,
        )
        for network, column in published.TABLE_1.items()
    ]
    return Printed(
        "table 1",
        "Matches of the five first domains from pictures and from tags, users in per cent; mean matches and mean F1 "
        "with 95 % bootstrap intervals and with what the tags of another user give; users without domains on a side.",
        (
            "Relation", "Network", "Users", *_MATCHES, *_MEANS,
            "No pictures", "No tags", "Neither",
        ),
        2,
        [*(_row_of_table_1(*key, metrics) for key, metrics in ours.items()), *theirs] if ours else [],
        _notes(ours, F1),
    )  # fmt: skip


def _row_of_table_1(relation: str, network: str, metrics: Metrics) -> tuple[str, ...]:
    left = ("without_picture_domains", "without_tag_domains", "without_domains")
    return (
        relation,
        network,
        whole(metrics[F1].n),
        *(per_cent(_value(metrics, f"share_{number}")) for number in _MATCHES),
        *_with_chance(metrics[MATCHES], 2),
        *_with_chance(metrics[F1], 4),
        *(whole(_value(metrics, name)) for name in left),
    )


def _comparison(found: Mapping[tuple[str, str], Metrics]) -> Printed:
    rows = [
        (
            relation,
            variant,
            metrics[DIFFERENCE].note or "",
            whole(metrics[DIFFERENCE].n),
            *(_share(of) for of in (metrics[F1].value, metrics[F1].baseline)),
            *_ends(metrics[DIFFERENCE], 4),
        )
        for (relation, variant), metrics in found.items()
        if DIFFERENCE in metrics
    ]
    return Printed(
        "comparison",
        "Mean F1 of networks, and of other ways to count, and its difference on the users who have both sides by both; "
        "95 % bootstrap intervals.",
        ("Relation", "Profiles", "Compared", "Users", "F1", "Chance", "Difference", *_ENDS),
        3,
        rows,
    )


def _by_pictures(found: Mapping[tuple[str, str, str], Metrics]) -> Printed:
    return Printed(
        "pictures",
        "Matches and F1 by the number of labelled pictures of a user, with 95 % bootstrap intervals and chance.",
        ("Relation", "Network", "Pictures", "Users", *_MEANS),
        3,
        [
            (
                *key[:2],
                key[2].replace("pictures", "").replace("  ", " ").strip(),
                whole(metrics[F1].n),
                *_with_chance(metrics[MATCHES], 2),
                *_with_chance(metrics[F1], 4),
            )
            for key, metrics in found.items()
        ],
    )


def _domains(found: Mapping[tuple[str, str, str], Metrics]) -> Printed:
    return Printed(
        "domains",
        "Users whose profiles have a domain from both pictures and tags, from pictures alone, from tags alone; those "
        "that are confused most first.",
        ("Relation", "Network", "Domain", "Both", "Pictures alone", "Tags alone"),
        3,
        [
            (*key, *(whole(_value(metrics, name)) for name in ("both", "pictures_only", "tags_only")))
            for key, metrics in found.items()
        ],
    )


def _notes(found: Mapping[tuple[str, str], Metrics], metric: str) -> list[str]:
    return [f"{relation}, {variant}: {of[metric].note}" for (relation, variant), of in found.items() if of[metric].note]


def _with_chance(row: EvaluationRow, digits: int) -> tuple[str, ...]:
    return (*_ends(row, digits), _share(row.baseline, digits))


def _ends(row: EvaluationRow, digits: int) -> tuple[str, ...]:
    return tuple(_share(value, digits) for value in (row.value, row.low, row.high))


def _share(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _value(metrics: Metrics, name: str) -> float | None:
    return metrics[name].value if name in metrics else None


def write_all(folder: Path, rows: Sequence[FigureRow], printed: Sequence[Printed]) -> list[Path]:
    """Write figure_4 and mean_F1 as .svg, .pdf and .png, and each table as .csv and .tex, to a local folder, which is
    made; files of the same name are replaced.

    Returns:
        The files, in the order in which they were written.
    """
    from profilelake.interests import drawing  # matplotlib takes a second

    contents: dict[str, bytes] = {}
    for figure in drawing.FIGURES:
        drawn = drawing.draw(figure, rows)
        contents |= {f"{figure}.{format}": plotting.save(drawn, format) for format in ("svg", "pdf", "png")}
    return write_files(folder, contents, printed)
