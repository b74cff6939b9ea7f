"""The evaluation of paper 2: how well pictures tell what tags tell of a user's interests, tracked in MLflow.

What is measured goes to `evaluations` and `figure_data` even where MLflow cannot be reached; the run then fails, and
the next one makes the tracked runs and writes these rows anew, with their ids.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from profilelake import freshness
from profilelake.config import Config, Interests
from profilelake.errors import ConfigError
from profilelake.interests import evaluation, prints, results
from profilelake.interests import stage as of_interests
from profilelake.interests.counting import TAGS
from profilelake.interests.evaluation import Case, Count, Plan
from profilelake.interests.results import F1, PAPER, USERS, Found, Measured
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage
from profilelake.reports import publish
from profilelake.training import attempts, tracking
from profilelake.training.results import EvaluationRow, write_rows
from profilelake.training.tracking import LAKE_RUN, Place, TrackedRun, Tracker, TrackingError

NAME = "evaluate_interests"
PROFILES, EVIDENCE = "user_interests", "user_interest_evidence"
# The others are what profiles are made of by other rules.
INPUTS = (PROFILES, EVIDENCE, "interest_words", "posts", "post_images", "image_labels")
NOBODY = "no user has interests yet: run jobs/build_profiles.py first"
UNLABELLED = "no picture has a label: name networks in images.label and run jobs/build_profiles.py first"
_FILES = "interests"  # the folder of the files below the report
_MEASURED = "measured.json"

Profiles = Callable[[Lake, Interests], DataFrame]
"""What the rows of `user_interests` would be by some rules; writes nothing."""


def check(config: Config) -> None:
    """What can be found wrong before Spark starts.

    Raises:
        ConfigError: there is no place to keep tracked runs, or something is wrong with the lexicon (`stage.known`).
    """
    tracking.place(config)
    of_interests.check(config)


@stage(NAME, lock=False)
def run(context: Context) -> StageReport:
    """Compare the profiles from pictures with those from tags. Rows are comparisons: a relation by a network, counted
    as configured or otherwise; those included that nobody has both profiles for, `evaluations` says why. It doesn't
    take the lake.

    Raises:
        ConfigError: the profiles were made by other rules than are configured now, or of older posts or labels.
        TrackingError: MLflow cannot be reached; the tables are written.
        LakeLocked: the same evaluation runs in another process of this machine.
    """
    lake, where = context.lake, tracking.place(context.config)
    lacking = _lacking(_bases(lake))
    if lacking is not None:
        return skipped(NAME, lacking)
    _require_rules(lake, context.config.interests)
    settings = _settings(context.config, where)
    last = freshness.unchanged(lake, NAME, INPUTS, settings=settings)
    if last is not None and where.exists:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    lake.pin(INPUTS)
    return _Evaluation(context, where, attempts.digest(lake, settings), of_interests.interests).run()


_Bases = frozenset[tuple[str, str]]
"""(relation, basis) of which anybody has anything."""


def _bases(lake: Lake) -> _Bases:
    """Empty also where no build has made the tables yet."""
    if not all(lake.exists(table) for table in INPUTS):
        return frozenset()
    # two relations at most, by tags and networks
    rows = lake.read(EVIDENCE).select("relation", "basis").distinct().collect()
    return frozenset((row["relation"], row["basis"]) for row in rows)


def _lacking(bases: _Bases) -> str | None:
    """Why there is nothing to compare; None where there is."""
    if not bases:
        return NOBODY
    return UNLABELLED if {basis for _, basis in bases} == {TAGS} else None


def _require_rules(lake: Lake, rules: Interests) -> None:
    """Profiles that were made by other rules, or of other posts and labels, would pass for those of these."""
    runs = lake.spark.table(lake.name("runs"))
    done = runs.where((F.col("stage") == of_interests.NAME) & (F.col("status") == "done"))
    last = done.orderBy(F.desc("started_at"), F.desc("run_id")).select("settings", "inputs").first()
    held = {} if last is None or last["settings"] is None else json.loads(last["settings"])
    wanted = of_interests.made_by(rules, of_interests.known(rules))
    others = [
        "another lexicon or other lists of words" if key == of_interests.WORDS else f"{key} {held[key]}, not {value}"
        for key, value in wanted.items()
        if held.get(key, value) != value
    ]
    if others:
        raise ConfigError(
            f"the profiles of this lake were made with {', '.join(others)}: build it with this configuration first, or "
            "evaluate it with the one that it was built with (other rules are compared in any case)"
        )
    read = {} if last is None else freshness.read_by(last)
    later = sorted(
        table for table, version in lake.versions(of_interests.INPUTS).items() if version != read.get(table, version)
    )
    if later:
        raise ConfigError(
            f"{', '.join(later)} changed since the profiles of this lake were made: run jobs/build_profiles.py first"
        )


def _settings(config: Config, where: Place) -> dict[str, Any]:
    """What an evaluation depends on beside tables."""
    return {
        "interests": config.interests.model_dump(),
        "network": config.interest_network,
        "evaluation": config.interests_evaluation.model_dump(),
        "tracking": [str(where), config.mlflow.experiment],
    }


def plan_of(config: Config) -> Plan:
    """How intervals are made."""
    return Plan(config.interests_evaluation.resamples, config.interests_evaluation.seed)


def measure(lake: Lake, config: Config, profiles: Profiles) -> Measured:
    """Count users by all that the figures depend on, in every case. An option that the lexicon can't serve has a fault.

    Args:
        lake: its `user_interests` are the profiles as configured.
        config: how they were made, and where groups of users by number of pictures begin.
        profiles: makes them otherwise.
    """
    bases = _bases(lake)
    primary, networks = _networks(bases, config)
    made: dict[str, DataFrame] = {"": lake.read(PROFILES)}
    faults: dict[str, str] = {}
    for option, rules in evaluation.variants(config.interests).items():
        if option:
            try:
                made[option] = profiles(lake, rules)
            except ConfigError as error:
                faults[option] = f"{option}: {error}"
    counted = evaluation.cases(networks, [option for option in made if option])
    asked = [*counted, *(Case(network, option) for option in faults for network in networks)]
    bins = config.interests_evaluation.picture_bins
    # as many as domains, sizes and groups have combinations, however many users there are
    rows = evaluation.count(made, lake.read(EVIDENCE), counted, primary, bins).collect()
    return Measured(primary, asked, sorted({relation for relation, _ in bases}), [Count(*row) for row in rows], faults)


def _networks(bases: _Bases, config: Config) -> tuple[str, list[str]]:
    """The network that others are compared with, and all that have labels, that one first. It is the one that profiles
    show, or the first by name where that has none."""
    present = {basis for _, basis in bases} - {TAGS}
    chosen = config.interest_network
    primary = chosen if chosen in present else min(present)
    return str(primary), sorted(present, key=lambda name: (name != primary, name))


@dataclass(eq=False)
class _Evaluation:
    """One evaluation while it runs."""

    context: Context
    where: Place
    digest: str
    profiles: Profiles
    measured: Measured | None = None
    written: bool = False

    def run(self) -> StageReport:
        config = self.context.config
        with ExitStack() as stack:
            files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="profilelake-interests-")))
            try:
                tracker = tracking.connect(self.where, config.mlflow.experiment)
                tags = attempts.tags(self.context)
                with tracker.training(f"{NAME} {self.context.run_id}", self.digest, tags) as parent:
                    return self._tracked(tracker, parent, files)
            except TrackingError as error:
                self._untracked(files)
                raise TrackingError(
                    f"{error}; what was measured is in the tables: run this again when MLflow can be used, and runs "
                    "are made"
                ) from error

    def _tracked(self, tracker: Tracker, parent: TrackedRun, files: Path) -> StageReport:
        kept = parent.read(_MEASURED)
        measured = self.measured = self._measure() if kept is None else results.read(kept)
        if kept is None:
            parent.write(_MEASURED, measured.dump())
        found = self._found(measured)
        self._draw(files, found)
        ids = self._parts(tracker, parent, measured, found)
        parent.folder(files, "figures")
        self._write(parent.tags[LAKE_RUN], found, ids, parent.run_id)
        return _report(measured, found)

    def _untracked(self, files: Path) -> None:
        """Write what was measured, without MLflow."""
        if self.written:
            return
        found = self._found(self.measured or self._measure())
        self._draw(files, found)
        self._write(self.context.run_id, found, {}, None)

    def _measure(self) -> Measured:
        self.measured = measure(attempts.beside(self.context), self.context.config, self.profiles)
        return self.measured

    def _found(self, measured: Measured) -> Found:
        config = self.context.config
        bins = config.interests_evaluation.picture_bins
        return results.found(measured, evaluation.variants(config.interests), bins, plan_of(config))

    def _draw(self, files: Path, found: Found) -> None:
        """Figures and tables as files, in a local folder and below the report."""
        prints.write_all(files, found.figures, prints.tables(found.rows))
        publish.copy_folder(self.context.spark, files, f"{self.context.config.report.path.rstrip('/')}/{_FILES}")

    def _parts(self, tracker: Tracker, parent: TrackedRun, measured: Measured, found: Found) -> dict[str, str]:
        """Ids of the nested runs, one a case, by its name; those that an earlier attempt finished stay."""
        done = {
            part: held.run_id for part, held in tracker.parts(parent.run_id).items() if held.status == tracking.FINISHED
        }
        tags = {key: parent.tags[key] for key in attempts.tags(self.context)}
        rules = evaluation.variants(self.context.config.interests)
        for case in measured.cases:
            if case.name not in done:
                with tracker.part(parent, case.name, tags) as part:
                    part.log(self._params(case, rules[case.option]), _metrics(found.evaluations[case.name]))
                    done[case.name] = part.run_id
        return done

    def _params(self, case: Case, rules: Interests) -> dict[str, Any]:
        own = rules.model_dump(exclude={"network"})
        return {"network": case.network, **own, **self.context.config.interests_evaluation.model_dump()}

    def _write(self, run_id: str, found: Found, ids: Mapping[str, str], parent: str | None) -> None:
        write_rows(self.context, PAPER, run_id, found.evaluations, found.figures, ids, parent)
        self.written = True


def _report(measured: Measured, found: Found) -> StageReport:
    means = [row for row in found.rows if (row.metric, row.split) == (F1, USERS)]
    configured = {case.name for case in measured.cases if not case.option}
    empty = [row for row in means if row.value is None and row.variant in configured]
    return StageReport(
        NAME,
        rows_in=len(means),
        rows_out=len(means),
        counters={"compared": sum(row.value is not None for row in means)},
        warnings=[*(f"{row.task}, {row.variant}: {row.note}" for row in empty), *measured.faults.values()],
    )


def _metrics(rows: Sequence[EvaluationRow]) -> dict[str, float | None]:
    """What a tracked run shows of its case: over all users, by relation, with interval and chance."""
    found: dict[str, float | None] = {}
    for row in rows:
        if row.split == USERS:
            ends = {"": row.value, "_low": row.low, "_high": row.high, "_chance": row.baseline}
            found |= {f"{row.task}/{row.metric}{end}": value for end, value in ends.items()}
    return found


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Comparisons that a run would make: all of them, or none where nothing changed."""
    bases = _bases(lake)
    if _lacking(bases) is not None:
        return {"comparisons": 0}
    where = tracking.place(config)
    last = freshness.unchanged(lake, NAME, INPUTS, settings=_settings(config, where))
    if last is not None and where.exists:
        return {"comparisons": 0}
    relations, (_, networks) = {relation for relation, _ in bases}, _networks(bases, config)
    return {"comparisons": len(relations) * len(networks) * len(evaluation.variants(config.interests))}
