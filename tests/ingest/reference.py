"""What an ingest of well-formed records must leave, in plain Python, written from the design's section on crawls and
from none of our code."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Line:
    """A record of a crawl's metadata file or table; where `fault` is set, a line that is refused for that reason."""

    file: str
    number: int | str
    written_at: datetime
    record: Row
    fault: str | None = None

    @property
    def ref(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def age(self) -> tuple[datetime, str, int, str]:
        """Of two records of a post the greater one wins."""
        number = self.number if isinstance(self.number, int) else 0
        return crawled(self), self.file, number, self.ref


def instant(value: Any) -> datetime:
    """A time as records give it: epoch seconds or ISO 8601 with an offset."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)


def crawled(line: Line) -> datetime:
    said = line.record.get("crawled_at")
    return line.written_at if said is None else instant(said)


def count(value: Any) -> int | None:
    """A count; negative ones are hidden."""
    return None if value is None or int(value) < 0 else int(value)


def tags_of(record: Row) -> list[str]:
    """Hashtags of captions that hold no URL and no combining mark, then the record's own."""
    found = re.findall(r"#(\w+)", record.get("caption") or "")
    own = ["".join(tag.split()).lstrip("#") for tag in record.get("hashtags") or []]
    return list(dict.fromkeys(tag.casefold() for tag in found + own if tag))


@dataclass
class Expected:
    """The state of a lake after one or more runs over a crawl, kept from run to run."""

    source: str
    root: Path
    label: str
    key: bytes | None = None
    lines: list[Line] = field(default_factory=list)
    runs: dict[Line, int] = field(default_factory=dict)
    posts: dict[str, Row] = field(default_factory=dict)
    users: dict[str, Row] = field(default_factory=dict)
    shown: dict[tuple[str, int], Row] = field(default_factory=dict)
    images: dict[str, Row] = field(default_factory=dict)
    counts: dict[tuple[str, datetime], tuple[int | None, int | None]] = field(default_factory=dict)
    quarantine: dict[str, Row] = field(default_factory=dict)

    def run(self, new: Sequence[Line]) -> None:
        """A run that reads these lines (of a table that grew: the old ones too)."""
        added = [line for line in new if line not in self.runs]
        self.runs |= dict.fromkeys(added, max(self.runs.values(), default=0) + 1)
        self.lines += added
        good = [line for line in self.lines if line.fault is None]
        names = self._names(good)
        stored = {line: self._stored(line, names) for line in good}
        best: dict[str, Line] = {}
        for line in sorted(good, key=lambda line: line.age):
            best[stored[line]["post_id"]] = line
        self.posts = {post_id: self._post(line, stored, good) for post_id, line in best.items()}
        self._count(good, stored)
        self._users(good, stored)
        self._pictures(best)
        self.quarantine |= {
            line.ref: {"reason": line.fault, "user_id": None} for line in self.lines if line.fault is not None
        }

    def _hash(self, user_id: str) -> str:
        if self.key is None:
            return user_id
        return f"{self.source}:{hmac.new(self.key, user_id.encode(), hashlib.sha256).hexdigest()}"

    def _who(self, record: Row, who: str) -> tuple[str | None, str | None]:
        """(id, name) of a record's user or owner as it says them."""
        given, name = record.get(f"{who}_id"), record.get(f"{who}_name")
        if given is None:
            return (None if name is None else f"{self.source}:@{name}"), name
        given = str(given)
        return f"{self.source}:{given}", name or (given[1:] if given.startswith("@") else None)

    def _names(self, lines: Iterable[Line]) -> dict[str, str]:
        """Ids that stand for a name, and the id that the same name occurs with: the one crawled last."""
        pairs: dict[str, tuple[datetime, str]] = {}
        for line in lines:
            for who in ("user", "owner"):
                user_id, name = self._who(line.record, who)
                if name is not None and user_id is not None and not user_id.startswith(f"{self.source}:@"):
                    alias = f"{self.source}:@{name}"
                    pairs[alias] = max(pairs.get(alias, (crawled(line), user_id)), (crawled(line), user_id))
        return {alias: user_id for alias, (_, user_id) in pairs.items()}

    def _stored(self, line: Line, names: Mapping[str, str]) -> Row:
        """The ids of a record as they are stored."""
        record = line.record
        ids: dict[str, str | None] = {}
        for who in ("user", "owner"):
            given, _ = self._who(record, who)
            ids[who] = None if given is None else self._hash(names.get(given, given))
        post_id = f"{self.source}:{record['post_id']}"
        if record.get("relation") == "favourite":
            return {"post_id": f"{post_id}:favourite:{ids['user']}", "user_id": ids["user"], "owner_id": ids["owner"]}
        return {"post_id": post_id, "user_id": ids["user"], "owner_id": ids["owner"] or ids["user"]}

    def _post(self, line: Line, stored: Mapping[Line, Row], good: Sequence[Line]) -> Row:
        record, ids = line.record, stored[line]
        return {
            **ids,
            "source": self.source,
            "relation": record.get("relation") or "posted",
            "posted_at": instant(record["posted_at"]),
            "caption": record.get("caption"),
            "hashtags": tags_of(record),
            "tags": record.get("tags"),
            "board": record.get("board"),
            "likes": count(record.get("likes")),
            "comments": count(record.get("comments")),
            "n_images": sum(path is not None for path in record.get("images") or []),
            "url": None if self.key is not None else record.get("url"),
            "crawled_at": crawled(line),
            "last_seen_at": max(crawled(other) for other in good if stored[other]["post_id"] == ids["post_id"]),
            "source_ref": line.ref,
        }

    def _count(self, good: Sequence[Line], stored: Mapping[Line, Row]) -> None:
        """Counts as they were at each time: the later record's; what an earlier run wrote stays."""
        self.counts = {}
        for line in sorted(good, key=lambda line: (-self.runs[line], line.age)):
            likes, comments = (count(line.record.get(name)) for name in ("likes", "comments"))
            self.counts[stored[line]["post_id"], crawled(line)] = (likes, comments)

    def _users(self, good: Sequence[Line], stored: Mapping[Line, Row]) -> None:
        self.users = {}
        for user_id in {post["user_id"] for post in self.posts.values()}:
            mine = sorted((line for line in good if stored[line]["user_id"] == user_id), key=lambda line: line.age)
            times = [
                post["posted_at"]
                for post in self.posts.values()
                if post["user_id"] == user_id and post["relation"] == "posted"
            ]

            def last(what: Callable[[Line], Any], lines: Sequence[Line] = mine) -> Any:
                return next((what(line) for line in reversed(lines) if what(line) is not None), None)

            self.users[user_id] = {
                "user_id": user_id,
                "source": self.source,
                "user_name": None if self.key is not None else last(lambda line: self._who(line.record, "user")[1]),
                "first_seen_at": min(times, default=None),
                "last_seen_at": max(times, default=None),
                "posts": len(times),
                "followers": last(lambda line: count(line.record.get("followers"))),
            }

    def _pictures(self, best: Mapping[str, Line]) -> None:
        self.shown, self.quarantine = {}, {}
        for post_id, line in best.items():
            for position, path in enumerate(line.record.get("images") or []):
                if path is None:
                    continue
                reason, found = self._picture(path)
                if found is None:
                    self.quarantine[f"{post_id}#{position}"] = {
                        "reason": reason,
                        "user_id": self.posts[post_id]["user_id"],
                    }
                    continue
                self.images[found["image_id"]] = found
                self.shown[post_id, position] = {
                    "image_id": found["image_id"],
                    "source_ref": f"{self.label}/{path}",
                }

    def _picture(self, path: str) -> tuple[str | None, Row | None]:
        """A picture of a crawl that holds only whole pictures, text files and gaps."""
        file = self.root / path
        if not file.exists():
            return "image_missing", None
        content = file.read_bytes()
        if content.startswith(b"text"):
            return "not_an_image", None
        with Image.open(file) as opened:
            width, height = opened.size
            kind = str(opened.format).lower()
        image_id = hashlib.sha256(content).hexdigest()
        return None, {
            "image_id": image_id,
            "content": content,
            "format": kind,
            "width": width,
            "height": height,
            "n_bytes": len(content),
        }
