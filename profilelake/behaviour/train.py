"""The training of paper 1: every task and figure over pinned versions of the tables, tracked in MLflow, and the gate.

What is measured goes to `evaluations` and `figure_data` even where MLflow cannot be reached; the run then fails, and
the next one makes the runs and models and writes these rows anew, with the ids of their runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from profilelake import freshness
from profilelake.behaviour import attributes as attribute_file
from profilelake.behaviour import captions, contest, prints, relations, results
from profilelake.behaviour.contest import Contest, Figure, Kept
from profilelake.behaviour.questions import Asked, ask
from profilelake.behaviour.results import Measured
from profilelake.behaviour.tasks import plan_of, tasks
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage
from profilelake.reports import publish
from profilelake.training import attempts, crossval, splits, tracking
from profilelake.training.results import EvaluationRow, FigureRow, write_rows
from profilelake.training.tracking import LAKE_RUN, Place, TrackedRun, Tracker, TrackingError

NAME = "train_selfie"
INPUTS = (
    "user_categories",
    "user_features",
    "selfie_measures",
    "user_types",
    "user_type_fits",
    "user_attributes",
    "posts",
    "post_images",
    "image_clusters",
    "cluster_centroids",
    "image_faces",
)
# What a tracked run shows of its task beside the numbers.
FIGURE_OF = {"R1": "figure_4", "R2": "figure_5", "R3": "figure_6", "R7": "figure_10"}
OTHERWISE = "figure_8"
_MEASURED = "measured.json"
_FILES = "selfie"


def check(config: Config) -> None:
    """What can be found wrong before Spark starts.

    Raises:
        ConfigError: there is no place to keep models, or the list of attributes is faulty.
    """
    tracking.place(config)
    attribute_file.load(config.behaviour.attributes)


@stage(NAME, lock=False)
def run(context: Context) -> StageReport:
    """Make every figure of paper 1, and put its models before the gate. Rows are figures, those included that could
    not be made; `evaluations` says why. It doesn't take the lake.

    Raises:
        TrackingError: MLflow cannot be reached; the tables are written.
        LakeLocked: the same training runs in another process of this machine.
    """
    lake, where = context.lake, tracking.place(context.config)
    attributes = tuple(attribute_file.load(context.config.behaviour.attributes))
    settings = _settings(context.config, attributes, where)
    last = freshness.unchanged(lake, NAME, INPUTS, settings=settings)
    if last is not None and where.exists:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    lake.pin(INPUTS)
    if lake.is_empty("user_features"):
        return skipped(NAME, "no user has features yet: run jobs/build_profiles.py first")
    with ask(lake, context.config.selfie, attributes) as asked:
        return _Training(context, asked, where, attempts.digest(lake, settings)).run()


def _settings(config: Config, attributes: Sequence[str], where: Place) -> dict[str, Any]:
    """What a training depends on beside tables."""
    return {
        "selfie": config.selfie.model_dump(),
        "held_out": [config.mlflow.held_out, config.mlflow.min_held_out],
        "attributes": list(attributes),
        "tracking": [str(where), config.mlflow.experiment],
    }


@dataclass(eq=False)
class _Training:
    """One training while it runs."""

    context: Context
    asked: Asked
    where: Place
    digest: str
    measured: Measured | None = None
    made: list[Figure] = field(default_factory=list)
    written: bool = False
    live: int = 0
    said: list[str] = field(default_factory=list)

    def run(self) -> StageReport:
        with ExitStack() as stack:
            files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="profilelake-selfie-")))
            try:
                tracker = tracking.connect(self.where, self.context.config.mlflow.experiment)
                with tracker.training(
                    f"{NAME} {self.context.run_id}", self.digest, attempts.tags(self.context)
                ) as parent:
                    self._tracked(tracker, parent, files)
            except TrackingError as error:
                self._untracked(files)
                raise TrackingError(
                    f"{error}; what was measured is in the tables: run this again when MLflow can be used, and runs "
                    "and models are made"
                ) from error
        return self._report()

    def _tracked(self, tracker: Tracker, parent: TrackedRun, files: Path) -> None:
        kept = parent.read(_MEASURED)
        measured = self.measured = self._measure() if kept is None else results.read(kept)
        if kept is None:
            parent.write(_MEASURED, measured.dump())
        self.made = self._figures(measured)
        evaluations, figures = self._rows(measured)
        self._draw(files, evaluations, figures)
        models = self._models(tracker, parent, files)
        parent.folder(files, "figures")
        ids = {name: one.run_id for name, one in models.items()}
        self._write(parent.tags[LAKE_RUN], evaluations, figures, ids, parent.run_id)
        chosen = [(one, models[one.cell.name]) for one in self.made if one.features == self._features(one)]
        lake = attempts.beside(self.context)
        took_part = [row for one, model in chosen for row in _split_rows(one, model)]
        lake.write("training_splits", lake.frame("training_splits", took_part))
        config = self.context.config
        judged = Contest(
            self.context.spark, lake, tracker, measured, plan_of(config.selfie), config.mlflow.min_held_out
        )
        self.live, self.said = judged.run(chosen)

    def _untracked(self, files: Path) -> None:
        """Write what was measured, without MLflow."""
        if self.written:
            return
        measured = self.measured or self._measure()
        self.made = self._figures(measured)
        evaluations, figures = self._rows(measured)
        self._draw(files, evaluations, figures)
        self._write(self.context.run_id, evaluations, figures, {}, None)

    def _measure(self) -> Measured:
        """What takes long: cross-validation with its shuffles, and the text baselines."""
        spark, config = self.context.spark, self.context.config
        questions = self.asked.questions.values()
        cells = [q.cell(features) for q in questions for features in q.task.feature_sets]
        scores = crossval.evaluate(spark, [cell for cell in cells if cell is not None], plan_of(config.selfie))
        baselines: Sequence[captions.Baseline] = ()
        lake, asked = self.context.lake, self.asked.questions["R1"]
        if config.selfie.captions and asked.sides.reason is not None:
            baselines = captions.without(asked.sides.reason)
        elif config.selfie.captions:
            of_posts = captions.captions_of(
                lake.read("posts"), lake.read("post_images"), lake.view("v_image_categories")
            )
            baselines = captions.measure(spark, of_posts, asked.sides.frame, config.selfie)
        return Measured({score.name: score for score in scores}, tuple(baselines))

    def _rows(self, measured: Measured) -> tuple[dict[str | None, list[EvaluationRow]], list[FigureRow]]:
        """Rows of `evaluations` by name of the figure, those of no figure under None, and rows of `figure_data`."""
        lake, asked, rules = self.context.lake, self.asked, self.context.config.selfie
        rows: dict[str | None, list[EvaluationRow]] = {None: []}
        for question in asked.questions.values():
            for features, found in results.of_question(question, measured).items():
                rows[question.name(features)] = found
        fits = lake.read("user_type_fits").where("current").select("type", "name").collect()
        study = relations.Study(
            users=asked.users,
            user_categories=asked.user_categories,
            user_types=lake.read("user_types"),
            categories=asked.categories,
            attributes=asked.attributes,
            type_names={row["type"]: row["name"] for row in fits},
            sides={name: q.sides for name, q in asked.questions.items()},
        )
        rows[None] += results.of_baselines(measured.baselines)
        rows[None] += relations.rankings(study, rules.max_users, rules.seed)
        rows[None] += relations.pictures(
            lake.read("posts"), lake.read("post_images"), lake.view("v_image_categories"), lake.read("image_faces")
        )
        return rows, relations.numbers(study)

    def _draw(
        self, files: Path, evaluations: Mapping[str | None, Sequence[EvaluationRow]], figures: Sequence[FigureRow]
    ) -> None:
        """Figures and tables as files, in a local folder and below the report."""
        config = self.context.config
        printed = prints.tables([row for rows in evaluations.values() for row in rows])
        sheets = prints.contact_sheets(attempts.beside(self.context), config.crawl.max_image_pixels)
        prints.write_all(files, figures, printed, sheets)
        publish.copy_folder(self.context.spark, files, f"{config.report.path.rstrip('/')}/{_FILES}")

    def _figures(self, measured: Measured) -> list[Figure]:
        config = self.context.config
        return contest.figures(
            list(self.asked.questions.values()),
            measured,
            config.mlflow.held_out,
            config.mlflow.min_held_out,
            config.selfie.min_users,
        )

    def _models(self, tracker: Tracker, parent: TrackedRun, files: Path) -> dict[str, Kept]:
        """A nested run with a fitted model for every figure that was made, by its name; those that an earlier attempt
        finished stay."""
        done = {
            part: Kept(found.run_id, found.tags[contest.SHA256])
            for part, found in tracker.parts(parent.run_id).items()
            if found.status == tracking.FINISHED
        }
        plan = plan_of(self.context.config.selfie)
        tags = {key: parent.tags[key] for key in attempts.tags(self.context)}
        missing = [one for one in self.made if one.cell.name not in done]
        with contest.fits(missing, plan) as fitted:
            for one in missing:
                with tracker.part(parent, one.cell.name, tags) as part:
                    sha256 = contest.keep(part, one, fitted[one.cell.name].result(), plan)
                    for plot in _plots(files, one.question.task.name):
                        part.file(plot, "plots")
                done[one.cell.name] = Kept(part.run_id, sha256)
        return done

    def _features(self, figure: Figure) -> str:
        """The features that the registered model of a task uses."""
        task = figure.question.task
        chosen = self.context.config.selfie.model_features.items()
        return next((features for name, features in chosen if name == task.name), task.feature_sets[0])

    def _write(
        self,
        run_id: str,
        evaluations: Mapping[str | None, Sequence[EvaluationRow]],
        figures: Sequence[FigureRow],
        ids: Mapping[str, str],
        parent: str | None,
    ) -> None:
        write_rows(self.context, 1, run_id, evaluations, figures, ids, parent)
        self.written = True

    def _report(self) -> StageReport:
        questions = self.asked.questions.values()
        asked = [(question, features) for question in questions for features in question.task.feature_sets]
        reasons = {f"{q.task.name}: {reason}" for q, features in asked if (reason := q.reason(features)) is not None}
        return StageReport(
            NAME,
            rows_in=len(asked),
            rows_out=len(asked),
            counters={"figures_made": len(self.made), "models_live": self.live},
            warnings=[*sorted(reasons), *self.said],
        )


def _split_rows(figure: Figure, model: Kept) -> list[dict[str, Any]]:
    cell = figure.cell
    return splits.rows(figure.model, model.run_id, cell.users, cell.y, figure.split.train, figure.score.fold_of)


def _plots(files: Path, task: str) -> list[Path]:
    """The files of the figure that shows a task."""
    stem = FIGURE_OF.get(task.split("_", 1)[0], OTHERWISE)
    return [file for suffix in ("svg", "png") if (file := files / f"{stem}.{suffix}").exists()]


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Figures that a run would make: all of them, or none where nothing changed."""
    where, attributes = tracking.place(config), tuple(attribute_file.load(config.behaviour.attributes))
    known = all(lake.exists(table) for table in INPUTS)
    if not known or lake.is_empty("user_features"):
        return {"figures": 0}
    last = freshness.unchanged(lake, NAME, INPUTS, settings=_settings(config, attributes, where))
    if last is not None and where.exists:
        return {"figures": 0}
    return {"figures": sum(len(task.feature_sets) for task in tasks(attributes))}
