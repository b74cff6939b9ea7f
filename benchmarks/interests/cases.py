"""Every case of the benchmark: what is asked of which process, and which rows it makes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.asked import Answer, ask
from benchmarks.interests import targets as t
from benchmarks.interests.data import crawl
from benchmarks.interests.sizes import NETWORKS, TAGS_A_POST, Sizes
from benchmarks.rows import Rows
from profilelake.tables import FORMAT

_MODULE = "benchmarks.interests.measure"
_MASTER = "local[2]"
_LABELLED = f"images.label=[{', '.join(NETWORKS)}]"
_BEYOND = ("interests.weighting=label_score", "interests.domain_weighting=log_odds")


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share."""

    sizes: Sizes
    cache: Path
    rows: Rows

    def lake(self, posts: int) -> Path:
        """A lake of so many posts whose interests nobody has looked for; laid once."""
        path = self.cache / f"lake-{posts}-{FORMAT[0]}.{FORMAT[1]}"
        if not path.is_dir():
            users = max(1, self.sizes.users * posts // self.sizes.posts)
            laid = crawl(self.cache, posts, users)
            ask(Path(sys.executable), _MODULE, {"case": "lay", "crawl": str(laid), "lake": str(path), **_request()})
        return path

    def timed(self, name: str, posts: int, settings: tuple[str, ...] = (), **more: Any) -> None:
        """What a process of its own measured, as rows."""
        request = {"case": "stage", "lake": str(self.lake(posts)), **more, **_request(settings)}
        found = ask(Path(sys.executable), _MODULE, request)
        self._add(name, posts, found)
        if "again" in found:
            self._add(t.AGAIN, posts, found["again"])

    def _add(self, name: str, posts: int, found: Answer) -> None:
        subject = t.subject(posts * (len(NETWORKS) + TAGS_A_POST))
        print(f"{subject}, {name}: {found['seconds']:.1f} s", file=sys.stderr)
        self.rows.add(name, subject, t.SECONDS, "s", found["seconds"])
        self.rows.add(name, subject, t.PROCESSORS, "s", found["processor_seconds"])


def _request(settings: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"master": _MASTER, "settings": [_LABELLED, *settings]}


def run_all(bench: Bench) -> None:
    """All of it, in rounds, so that whatever else the machine does meets all of it."""
    sizes = bench.sizes
    for _ in range(sizes.rounds):
        bench.timed(t.STAGE, sizes.tiny)
        bench.timed(t.STAGE, sizes.posts, again=True)
        bench.timed(t.WARM, sizes.posts, warm=str(bench.lake(sizes.tiny)))
    bench.timed(t.WEIGHTED, sizes.posts, _BEYOND)
