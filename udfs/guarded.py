"""The picture pass in a process of its own, for pictures that may end the process that looks at them.

A decoder that crashes or hangs takes its Python worker with it, and Spark can't tell which picture it was. Here the
worker stays alive and watches a child: what the child doesn't survive, alone, is the picture's fault. It costs a
process and the way there and back, so it is for the second look only.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import pyarrow as pa

from udfs.picture_pass import Loader, PassSpec, load_models, ready, refused, run_pass
from udfs.runtime import given_gpu, inherit_gpu


def run_guarded(
    batches: Iterator[pa.RecordBatch], spec: PassSpec, loader: Loader = load_models
) -> Iterator[pa.RecordBatch]:
    """`run_pass`, with the same arguments and rows, that outlives its pictures. For `mapInArrow`; runs on executors.

    A picture that ends the process is a row with the error `image_crashed`, one that takes longer than
    `spec.picture_timeout` (networks included; 0: no limit) one with `image_timeout`. `loader` must be importable by
    name. A child uses the GPU of its parent's task.

    Raises:
        RuntimeError: the process ends while it loads its models, or raises what is no picture's fault.
    """
    child = _Child(spec, loader)
    try:
        for batch in batches:
            for at in range(0, batch.num_rows, spec.batch_size):
                yield from child.look(batch.slice(at, spec.batch_size))
    finally:
        child.end()


@dataclass(frozen=True, slots=True)
class _Lost:
    """Why the child gave no answer."""

    reason: str
    detail: str


class _Child:
    def __init__(self, spec: PassSpec, loader: Loader) -> None:
        self._spec = spec
        self._loader = loader
        self._running: tuple[SpawnProcess, Connection] | None = None

    def look(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        answer = self._ask(batch)
        if not isinstance(answer, _Lost):
            yield from answer
        elif batch.num_rows == 1:
            yield refused(batch.column("image_id")[0].as_py(), answer.reason, answer.detail)
        else:
            for at in range(batch.num_rows):
                yield from self.look(batch.slice(at, 1))

    def end(self) -> int | None:
        """Ends the child, if there is one. Returns its exit code, negative for a signal's number."""
        if self._running is None:
            return None
        process, pipe = self._running
        self._running = None
        pipe.close()
        process.kill()
        process.join()
        return process.exitcode

    def _ask(self, batch: pa.RecordBatch) -> list[pa.RecordBatch] | _Lost:
        process, pipe = self._running or self._start()
        limit = self._spec.picture_timeout * batch.num_rows
        try:
            pipe.send_bytes(_packed([batch]))
            if limit and not pipe.poll(limit):
                self.end()
                return _Lost("image_timeout", f"looking at it took longer than {limit} s")
            answer = pipe.recv()
        except (EOFError, ConnectionError):
            process.join()  # its end of the pipe closed because it ended, so it has an exit code of its own
            code = self.end()
            return _Lost("image_crashed", f"looking at it ended the process ({_how(code)})")
        if isinstance(answer, str):
            self.end()
            raise RuntimeError(answer)
        return _unpacked(answer)

    def _start(self) -> tuple[SpawnProcess, Connection]:
        # Spawned: a fork would share the threads and locks of whatever this worker has loaded.
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        spec = replace(self._spec, picture_timeout=0)
        process = context.Process(target=_serve, args=(theirs, spec, self._loader, given_gpu()), daemon=True)
        process.start()
        theirs.close()
        self._running = (process, pipe)
        try:
            failure = pipe.recv()
        except EOFError:
            process.join()
            raise RuntimeError(
                f"the process that looks at pictures ended before it began ({_how(self.end())}); its own messages are "
                "in the executor's standard error"
            ) from None
        if failure is not None:
            self.end()
            raise RuntimeError(failure)
        return self._running


def _serve(pipe: Connection, spec: PassSpec, loader: Loader, gpu: int | None) -> None:
    """The child: loads its models, then a batch in, its rows out, until the pipe closes."""
    inherit_gpu(gpu)
    try:
        ready(spec, loader)
    except Exception as error:  # noqa: BLE001  told to the worker, which raises it
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send(None)
    while True:
        try:
            batches = _unpacked(pipe.recv_bytes())
        except EOFError:
            return
        try:
            answer: bytes | str = _packed(list(run_pass(iter(batches), spec, loader)))
        except Exception as error:  # noqa: BLE001  told to the worker, which raises it
            answer = f"{type(error).__name__}: {error}"
        pipe.send(answer)


def _packed(batches: list[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _unpacked(content: bytes) -> list[pa.RecordBatch]:
    with pa.ipc.open_stream(content) as stream:
        return list(stream)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit status {code}"
