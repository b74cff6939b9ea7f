"""The picture pass with a face detector that red pictures crash and blue ones hang. Imported by name on workers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from udfs import guarded, picture_pass
from udfs.faces import Face
from udfs.picture_pass import Models, PassSpec

CRASHES, HANGS = (200, 0, 0), (0, 0, 200)


class Detector:
    """Dies of red pictures, never comes back from blue ones, and finds a face in all others."""

    def detect(self, pictures: Sequence[np.ndarray]) -> list[list[Face]]:
        for picture in pictures:
            colour = tuple(picture[0, 0].tolist())
            if colour == CRASHES:
                os.kill(os.getpid(), signal.SIGSEGV)
            if colour == HANGS:
                threading.Event().wait()
        return [[Face(0.25, 0.5, 0.5, 0.25, 0.99)] for _ in pictures]


def loader(spec: PassSpec, where: str) -> Models:
    return Models(picture_pass.load_models(spec, where).networks, Detector())


def run_pass(batches: Iterator[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return picture_pass.run_pass(batches, spec, loader)


def run_guarded(batches: Iterator[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return guarded.run_guarded(batches, spec, loader)
