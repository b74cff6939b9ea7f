"""Listing a crawl on a local file system. Runs on executors; looks at names and states only, opens nothing.

Spark's own listing follows links to folders (round in circles too), passes over names that begin with `.` or `_`, and
keeps every file's state on the driver; where the file system is local this takes its place.
"""

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

LISTING_DDL = (
    "rel string, size bigint, modified_ms bigint, hidden boolean, is_folder boolean, outside boolean, unnamed boolean"
)
_LISTING = pa.schema(
    [
        ("rel", pa.string()),
        ("size", pa.int64()),
        ("modified_ms", pa.int64()),
        ("hidden", pa.bool_()),
        ("is_folder", pa.bool_()),
        ("outside", pa.bool_()),
        ("unnamed", pa.bool_()),
    ]
)
FOLLOWED_DDL = "file string, rel string, outside boolean"
_FOLLOWED = pa.schema([("file", pa.string()), ("rel", pa.string()), ("outside", pa.bool_())])
_ROWS = 5000


def is_hidden(rel: str) -> bool:
    """Whether a name on the path begins with `.` or `_`."""
    return any(step.startswith((".", "_")) for step in rel.split("/"))


def list_folders(batches: Iterable[pa.RecordBatch], *, root: str, deep: bool) -> Iterator[pa.RecordBatch]:
    """The files of each folder (column `rel`, "" is the root), and with `deep` of those below; see `LISTING_DDL`.

    Folders themselves are listed (`is_folder`) only without `deep`. Links to folders inside the crawl are left out,
    links to files inside count as files; a link to outside is a row with `outside` and the link's own state, and
    `is_folder` says whether it leads to a folder. `unnamed`: the name is no UTF-8, `rel` is what can be shown of it.
    """
    real_root = os.path.realpath(root)
    for batch in batches:
        rows: list[dict[str, Any]] = []
        for folder in batch.column("rel").to_pylist():
            for row in _walk(root, real_root, folder, deep):
                rows.append(row)
                if len(rows) == _ROWS:
                    yield pa.RecordBatch.from_pylist(rows, _LISTING)
                    rows = []
        yield pa.RecordBatch.from_pylist(rows, _LISTING)


def _walk(root: str, real_root: str, folder: str, deep: bool) -> Iterator[dict[str, Any]]:
    todo = [folder]
    while todo:
        at = todo.pop()
        try:
            entries = sorted(os.scandir(posixpath.join(root, at)), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went while the crawl was listed
        for entry in entries:
            rel = posixpath.join(at, entry.name)
            try:
                row = _row(entry, rel, real_root)
            except FileNotFoundError:
                continue
            if row is None:
                continue
            if deep and row["is_folder"] and not row["outside"] and not row["unnamed"]:
                todo.append(rel)
                continue
            yield row


def _row(entry: "os.DirEntry[str]", rel: str, real_root: str) -> dict[str, Any] | None:
    shown = os.fsencode(rel).decode("utf-8", "replace")
    outside = False
    follow = True
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        outside = not _below(target, real_root)
        if outside:
            follow = False
        elif not os.path.isfile(target):
            return None
        is_folder = os.path.isdir(target)
    else:
        is_folder = entry.is_dir()
    state = entry.stat(follow_symlinks=follow)
    if not (is_folder or outside or stat.S_ISREG(state.st_mode)):
        return None  # a pipe or device would be waited for
    return {
        "rel": shown,
        "size": state.st_size,
        "modified_ms": state.st_mtime_ns // 1_000_000,
        "hidden": is_hidden(shown),
        "is_folder": is_folder,
        "outside": outside,
        "unnamed": shown.encode("utf-8") != os.fsencode(rel),
    }


def _below(path: str, real_root: str) -> bool:
    return path == real_root or path.startswith(real_root.rstrip("/") + "/")


def follow(batches: Iterable[pa.RecordBatch], *, root: str) -> Iterator[pa.RecordBatch]:
    """Where paths (columns `file`, `rel`) that the listing lacks lead, through links to folders; see `FOLLOWED_DDL`.

    `rel` of the answer is the path without links, NULL where there is no file; `outside`: it leaves the crawl.
    """
    real_root = os.path.realpath(root)
    for batch in batches:
        rows = []
        for file, rel in zip(batch.column("file").to_pylist(), batch.column("rel").to_pylist(), strict=True):
            outside, found = False, None
            if "\0" not in rel:
                target = os.path.realpath(posixpath.join(root, rel))
                outside = not _below(target, real_root)
                if not outside and os.path.isfile(target):
                    found = os.path.relpath(target, real_root)
            rows.append({"file": file, "rel": found, "outside": outside})
        yield pa.RecordBatch.from_pylist(rows, _FOLLOWED)
