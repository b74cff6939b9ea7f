"""Fits on a local-cluster, one of whose executors is killed on the way; what came of it as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil

from profilelake import config as configuration
from profilelake.clusters.kmeans import fit
from profilelake.session import session
from tests.clusters.test_kmeans import SETTINGS, frame, points


class Killer:
    """Kills an executor after the second pass."""

    def __init__(self) -> None:
        self.passes = self.killed = 0

    def __call__(self) -> None:
        self.passes += 1
        if self.passes == 2:
            executors = [process for process in psutil.Process().children(recursive=True) if _is_executor(process)]
            executors[0].kill()
            self.killed += 1


def _is_executor(process: psutil.Process) -> bool:
    try:
        return any("CoarseGrainedExecutorBackend" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def main(answer: Path) -> None:
    config = configuration.load(arguments=["spark.master=local-cluster[2,1,1500]"])
    killer = Killer()
    with session(config, "dying") as spark:
        fits = fit(frame(spark, points(3000, 8, seed=2)), [4, 9], SETTINGS, partitions=4, on_pass=killer)
    told = [{"centroids": one.centroids.tolist(), "inertia": one.inertia} for one in fits]
    answer.write_text(json.dumps({"killed": killer.killed, "fits": told}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
