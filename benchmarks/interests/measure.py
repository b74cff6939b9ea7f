"""What the benchmark measures: `python -m benchmarks.interests.measure <request.json> <answer.json>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import lakes
from benchmarks.asked import Answer, Request, answer_with
from benchmarks.interests.data import SAME
from benchmarks.lakes import held_run, taken_in


def lay(request: Request) -> Answer:
    """Lay the crawl's Parquet files down as a lake's tables."""
    return lakes.lay(request, SAME)


def stage(request: Request) -> Answer:
    """The stage as shipped, within a run: from Delta tables to Delta tables, all of it, in a session that is warm where
    `warm` is given; then, where `again` is asked for, once more with one post that is new."""
    from profilelake.interests import stage as interests

    with held_run(request, interests.run) as run:
        with taken_in() as first:
            report = interests.run(run.spark, run.config)
        answer = {**first, "users": report.rows_out, "counters": dict(report.counters)}
        if request.get("again"):
            _one_more(run.lake)
            with taken_in() as second:
                interests.run(run.spark, run.config)
            answer["again"] = second
    return answer


def _one_more(lake: Any) -> None:
    """Add a post with a tag that everybody knows and one that nobody has written."""
    from pyspark.sql import functions as F

    post = lake.read("posts").limit(1)
    new = {"post_id": F.lit("bench:new"), "tags": F.array(F.lit("dog"), F.lit("never written"))}
    post.withColumns(new).write.format("delta").mode("append").saveAsTable(lake.name("posts"))


CASES: Mapping[str, Callable[[Request], Answer]] = {"lay": lay, "stage": stage}

if __name__ == "__main__":
    answer_with(CASES)
