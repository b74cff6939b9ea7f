"""What a training of paper 1 found, as rows of `evaluations` and as the text that a resumed training reads back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from profilelake.behaviour import published
from profilelake.behaviour.captions import Baseline
from profilelake.behaviour.questions import Question
from profilelake.training.crossval import Score
from profilelake.training.results import EvaluationRow

CROSS_VALIDATION, TEST = "cross-validation", "test"
_DOC2VEC = "the paper: below 0.55"


@dataclass(frozen=True, eq=False)
class Measured:
    """What takes long to compute: the scores by name of the figure, and the text baselines."""

    scores: dict[str, Score]
    baselines: tuple[Baseline, ...]

    def dump(self) -> str:
        """As JSON; `read` gives it back."""
        scores = [
            asdict(score) | {"fold_of": score.fold_of.tolist(), "predicted": score.predicted.tolist()}
            for score in self.scores.values()
        ]
        return json.dumps({"scores": scores, "baselines": [asdict(baseline) for baseline in self.baselines]})


def read(text: str) -> Measured:
    """What `Measured.dump` wrote."""
    held = json.loads(text)
    scores = [
        Score(
            **{
                **_tuples(score),
                "fold_of": np.array(score["fold_of"], np.int16),
                "predicted": np.array(score["predicted"], np.int8),
            }
        )
        for score in held["scores"]
    ]
    return Measured(
        {score.name: score for score in scores}, tuple(Baseline(**_tuples(entry)) for entry in held["baselines"])
    )


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def of_question(question: Question, measured: Measured) -> dict[str, list[EvaluationRow]]:
    """Rows of all figures of a task, by feature set: one that could not be made has no value and says why."""
    return {
        features: _of_figure(question, features, measured.scores.get(question.name(features)))
        for features in question.task.feature_sets
    }


def _of_figure(question: Question, features: str, score: Score | None) -> list[EvaluationRow]:
    task = question.task

    def row(metric: str, value: float | None, **more: Any) -> EvaluationRow:
        return EvaluationRow(task.artefact, task.name, features, CROSS_VALIDATION, metric, value, **more)

    printed = task.published.get(features)
    if score is None:
        reason = question.reason(features)
        return [row("accuracy", None, n=2 * question.sides.each, published=printed, note=reason)]
    notes = [] if question.matrix is None else list(question.matrix.notes)
    if score.reason is not None:
        return [row("accuracy", None, n=score.n, baseline=score.baseline, published=printed, note=score.reason)]
    rows = [
        row(
            "accuracy",
            score.accuracy,
            low=score.low,
            high=score.high,
            n=score.n,
            baseline=score.baseline,
            published=printed,
            note="; ".join([*notes, *score.notes]) or None,
        ),
        row("folds", float(score.folds), n=score.n),
        row("fold_std", float(np.std(score.fold_accuracies, ddof=1)), n=score.folds),
        row("imputed", float(score.imputed), n=score.n, note="values of features that were missing"),
    ]
    if score.p_value is not None:
        rows.append(row("p_value", score.p_value, n=score.shuffle_n, note=_shuffles(score.shuffles)))
    return rows


def of_baselines(baselines: Iterable[Baseline]) -> list[EvaluationRow]:
    """Rows of the text baselines of R1 (5.2.1)."""
    return [row for baseline in baselines for row in _of_baseline(baseline)]


def _of_baseline(baseline: Baseline) -> list[EvaluationRow]:
    lstm = baseline.name == "LSTM"

    def row(metric: str, value: float | None, **more: Any) -> EvaluationRow:
        return EvaluationRow("5.2.1", "R1", baseline.name, TEST if lstm else CROSS_VALIDATION, metric, value, **more)

    said = baseline.reason or "; ".join(baseline.notes) or None
    rows = [
        row(
            "accuracy",
            baseline.user_accuracy,
            low=baseline.low,
            high=baseline.high,
            n=baseline.n,
            baseline=baseline.baseline,
            published=published.LSTM_USERS / 100 if lstm else None,
            note=said if lstm else "; ".join(filter(None, [_DOC2VEC, said])),
        )
    ]
    if lstm:
        rows.append(
            row(
                "caption_accuracy",
                baseline.caption_accuracy,
                low=baseline.caption_low,
                high=baseline.caption_high,
                n=baseline.caption_n,
                baseline=baseline.caption_baseline,
                published=published.LSTM_CAPTIONS / 100,
                note=said,
            )
        )
    if baseline.threshold is not None:
        rows.append(row("threshold", baseline.threshold))
    if baseline.fold_accuracies is not None and len(baseline.fold_accuracies) > 1:
        folds = len(baseline.fold_accuracies)
        rows.append(row("folds", float(folds), n=baseline.n))
        rows.append(row("fold_std", float(np.std(baseline.fold_accuracies, ddof=1)), n=folds))
    if baseline.p_value is not None:
        of_all = "all shuffles of the labels of who was tested"
        shuffles = of_all if baseline.shuffles is None else _shuffles(baseline.shuffles)
        rows.append(row("p_value", baseline.p_value, n=baseline.shuffle_n or baseline.n, note=shuffles))
    if baseline.caption_p_value is not None:
        independent = "all shuffles of the labels of captions, as if no two had a user in common"
        rows.append(row("caption_p_value", baseline.caption_p_value, n=baseline.caption_n, note=independent))
    return rows


def _shuffles(n: int) -> str:
    return f"{n} shuffles of the labels"
