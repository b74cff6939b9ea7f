"""What an evaluation of interests found, as rows of `evaluations` and `figure_data`, and as the text that a resumed one
reads back."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from profilelake.config import Interests
from profilelake.interests import evaluation, published
from profilelake.interests.evaluation import Agreement, Case, Count, Estimate, Plan, Score
from profilelake.training.results import NOTE, EvaluationRow, FigureRow

PAPER = 2
TABLE, DOMAINS = "table 1", "domains"
USERS = "users"
MATCHES, F1, DIFFERENCE = "mean_matches", "mean_f1", "mean_f1_difference"
DISTRIBUTION, MEANS = "figure 4", "mean F1"
CHANCE = "chance"


@dataclass(frozen=True, eq=False)
class Measured:
    """What takes long to compute.

    Attributes:
        primary: the network that others are compared with.
        cases: in the order of their places in `counts`.
        relations: whose users were counted.
        counts: as `evaluation.count` makes them.
        faults: by option why there are no profiles by it.
    """

    primary: str
    cases: Sequence[Case]
    relations: Sequence[str]
    counts: Sequence[Count]
    faults: Mapping[str, str]

    def dump(self) -> str:
        """As JSON; `read` gives it back."""
        return json.dumps(
            {
                "primary": self.primary,
                "cases": [asdict(case) for case in self.cases],
                "relations": list(self.relations),
                "counts": list(self.counts),
                "faults": dict(self.faults),
            }
        )


def read(text: str) -> Measured:
    """What `Measured.dump` wrote."""
    held = json.loads(text)
    return Measured(
        held["primary"],
        [Case(**case) for case in held["cases"]],
        held["relations"],
        [Count(*one) for one in held["counts"]],
        held["faults"],
    )


@dataclass(frozen=True)
class Found:
    """All rows of an evaluation: those of `evaluations` by the name of their case, and those of `figure_data`."""

    evaluations: Mapping[str, Sequence[EvaluationRow]]
    figures: Sequence[FigureRow]

    @property
    def rows(self) -> list[EvaluationRow]:
        return [row for rows in self.evaluations.values() for row in rows]


def found(measured: Measured, rules: Mapping[str, Interests], bins: Sequence[int], plan: Plan) -> Found:
    """The rows of everything that was measured.

    Args:
        measured: the counts.
        rules: by option how profiles are made by it, as configured under "".
        bins: numbers of pictures at which groups of users begin.
        plan: of the intervals.
    """
    agreements = evaluation.agreements(measured.counts)
    evaluations: dict[str, list[EvaluationRow]] = {case.name: [] for case in measured.cases}
    figures: list[FigureRow] = []
    for relation in measured.relations:
        for place, case in enumerate(measured.cases):
            of = _Rows(relation, case, agreements.get((relation, place), Agreement()), measured.faults, rules, plan)
            evaluations[case.name] += of.table() + of.difference(measured.primary)
            if not case.option:
                evaluations[case.name] += of.by_pictures(bins) + of.domains()
                figures += of.distribution()
            figures += of.means(float(place))
    return Found(evaluations, figures)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one relation and case."""

    relation: str
    case: Case
    agreement: Agreement
    faults: Mapping[str, str]
    rules: Mapping[str, Interests]
    plan: Plan

    @functools.cached_property
    def score(self) -> Score | None:
        return evaluation.score(self.agreement, self.plan)

    @property
    def printed(self) -> published.Printed | None:
        """The paper's own column, where the setting is the paper's."""
        rules = self.rules[self.case.option]
        same = all(getattr(rules, key) == value for key, value in published.SETTING.items())
        return published.TABLE_1.get(self.case.network) if same and self.relation == published.RELATION else None

    @property
    def reason(self) -> str:
        """Why there is no score."""
        if self.case.option in self.faults:
            return self.faults[self.case.option]
        out = evaluation.left_out(self.agreement)
        return (
            "no user has domains from both pictures and tags: "
            f"{out.no_tags} have some from pictures alone, {out.no_pictures} from tags alone, {out.neither} have none"
        )

    def row(self, metric: str, value: float | None, *, split: str = USERS, **more: Any) -> EvaluationRow:
        artefact = more.pop("artefact", TABLE)
        return EvaluationRow(artefact, self.relation, self.case.name, split, metric, value, **more)

    def estimate(self, metric: str, of: Estimate, **more: Any) -> EvaluationRow:
        return self.row(metric, of.value, low=of.low, high=of.high, n=of.n, **more)

    def table(self) -> list[EvaluationRow]:
        """The case's column of table 1, with what the paper lacks."""
        score, printed = self.score, self.printed
        matches, f1 = (None, None) if printed is None else (printed.matches, printed.f1)
        if score is None:
            return [
                self.row(MATCHES, None, n=0, published=matches, note=self.reason),
                self.row(F1, None, n=0, published=f1, note=self.reason),
                *self.left_out(),
            ]
        alone = None if score.f1.n > 1 else "one user: no interval and no chance level"
        shares = [None] * len(score.shares) if printed is None else [n / published.USERS for n in printed.users]
        return [
            *(
                self.estimate(f"share_{number}", share, published=theirs)
                for number, (share, theirs) in enumerate(zip(score.shares, shares, strict=True))
            ),
            self.estimate(MATCHES, score.matches, baseline=score.chance_matches, published=matches, note=alone),
            self.estimate(F1, score.f1, baseline=score.chance_f1, published=f1, note=alone),
            *self.left_out(),
        ]

    def left_out(self) -> list[EvaluationRow]:
        """Who leaves the means, as numbers of users; n: users of the relation."""
        if self.case.option in self.faults:
            return []
        out = evaluation.left_out(self.agreement)
        everybody = sum(self.agreement.cells.values())
        return [
            self.row("without_picture_domains", float(out.no_pictures), n=everybody),
            self.row("without_tag_domains", float(out.no_tags), n=everybody),
            self.row("without_domains", float(out.neither), n=everybody),
        ]

    def difference(self, primary: str) -> list[EvaluationRow]:
        """The comparison on the same users."""
        against = evaluation.reference(self.case, primary)
        if against is None:
            return []
        of = evaluation.difference(self.agreement, self.plan)
        if of is None:
            reason = self.faults.get(self.case.option, f"no user has both sides here and by {against.name}")
            return [self.row(DIFFERENCE, None, n=0, note=reason)]
        return [self.estimate(DIFFERENCE, of, baseline=0.0, note=f"against {against.name}, the same users")]

    def by_pictures(self, bins: Sequence[int]) -> list[EvaluationRow]:
        """Means by group of users, those groups left out in which nobody has both sides."""
        rows = []
        for number, name in enumerate(evaluation.groups(bins)):
            score = evaluation.score(self.agreement, self.plan, number)
            if score is not None:
                rows.append(self.estimate(MATCHES, score.matches, split=name, baseline=score.chance_matches))
                rows.append(self.estimate(F1, score.f1, split=name, baseline=score.chance_f1))
        return rows

    def domains(self) -> list[EvaluationRow]:
        """Of each domain (as split) the users who have it on which side; n: users with both sides."""
        n = sum(self.agreement.whole.values())
        return [
            self.row(metric, float(users), split=one.domain, n=n, artefact=DOMAINS)
            for one in evaluation.confusions(self.agreement)
            for metric, users in (
                ("both", one.both), ("pictures_only", one.pictures_only), ("tags_only", one.tags_only)
            )
        ]  # fmt: skip

    def distribution(self) -> list[FigureRow]:
        """Figure 4: x matches, y their share of the users; series `<relation> <network>`."""
        score = self.score
        if score is None:
            label = f"{self.relation}, {self.case.name}: {self.reason}"
            return [FigureRow(DISTRIBUTION, f"{NOTE} {self.relation} {self.case.name}", 0.0, None, label=label)]
        return [
            _point(DISTRIBUTION, f"{self.relation} {self.case.name}", float(number), share, self.case.name)
            for number, share in enumerate(score.shares)
        ]

    def means(self, x: float) -> list[FigureRow]:
        """Mean F1 of every case (x: its place) as the series `<relation>`, what chance gives as `<relation> chance`."""
        score = self.score
        if score is None:
            return []
        rows = [_point(MEANS, self.relation, x, score.f1, self.case.name)]
        if score.chance_f1 is not None:
            rows.append(
                FigureRow(MEANS, f"{self.relation} {CHANCE}", x, score.chance_f1, n=score.f1.n, label=self.case.name)
            )
        return rows


def _point(figure: str, series: str, x: float, of: Estimate, label: str) -> FigureRow:
    return FigureRow(figure, series, x, of.value, low=of.low, high=of.high, n=of.n, label=label)
