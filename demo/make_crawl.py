"""Makes the demo crawl: python -m demo.make_crawl --out data/demo/crawl [--seed 7] [--small]

Writes `posts-*.jsonl` and `images/` below --out, and what is true of them (kinds, faults, the terms of the likes) into
the folder `truth` beside it, which profilelake never reads. The same seed, code and packages give the same bytes. A
crawl that is there already is left alone; one that was begun and not finished is made again.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demo.plan import BadPicture, Picture, Plan

# numpy, Pillow and the rest of the package are imported where they are used: a crawl that exists costs no time.

MARKER = ".demo-crawl.json"
TRUTH = "truth"
# Fewer pictures are drawn in this process: others would start slower than it is done.
FEW = 200
_SOURCES = (
    "captions", "composites", "encoded", "faults", "kinds", "likes", "make_crawl", "photographs", "plan", "users",
)  # fmt: skip
_PACKAGES = ("numpy", "pillow", "scikit-image", "scikit-learn", "matplotlib")


@dataclass(frozen=True, slots=True)
class Made:
    """What is at `path`; `new`: whether this call made it."""

    path: Path
    new: bool
    users: int
    records: int
    pictures: int
    n_bytes: int


class CannotMake(Exception):
    """A sentence that says why the crawl can't be made there."""


def make_crawl(out: str | Path, seed: int = 7, small: bool = False, workers: int | None = None) -> Made:
    """Makes the crawl at `out` with `workers` processes (default: one a core), unless the same one is there.

    It appears whole or not at all. Raises `CannotMake` where `out` holds something that this program has not made.
    """
    target = Path(out).absolute()
    marker = target.parent / MARKER
    wanted = {"crawl": target.name, "seed": seed, "size": "small" if small else "full", "generator": _version()}
    state = _read_marker(marker)
    if (
        state is not None
        and {key: state.get(key) for key in wanted} == wanted
        and state.get("done") == _measure(target)
    ):
        return Made(target, False, *(int(state[key]) for key in ("users", "records", "pictures", "n_bytes")))
    ours = state is not None and state.get("crawl") == target.name
    for path, what in ((target, "demo crawl"), (target.parent / TRUTH, "demo crawl's")):
        if path.exists() and not ours and (not path.is_dir() or any(path.iterdir())):
            raise CannotMake(f"{path} exists and is no {what}: choose another --out, or delete it")

    from demo.plan import FULL, SMALL, plan

    target.parent.mkdir(parents=True, exist_ok=True)
    # From here on the marker says that what is at `out` is ours, and unfinished.
    _write_marker(marker, {"crawl": target.name})
    part = target.parent / f".{target.name}.part"
    if part.exists():
        shutil.rmtree(part)
    planned = plan(seed, SMALL if small else FULL)
    crawl, truth = part / "crawl", part / TRUTH
    truth.mkdir(parents=True)
    drawn = _draw_all(crawl, planned, workers)
    places, records = _write_posts(crawl, planned)
    _write_truth(truth, planned, drawn, places)
    for new, final in ((truth, target.parent / TRUTH), (crawl, target)):
        if final.exists():
            shutil.rmtree(final)
        os.replace(new, final)
    part.rmdir()
    done = _measure(target)
    counts = {"users": len(planned.users), "records": records, "pictures": len(drawn), "n_bytes": done[1]}
    _write_marker(marker, {**wanted, **counts, "done": done})
    return Made(target, True, **counts)


def _version() -> str:
    """A hash of the code and the packages that the bytes of a crawl come from."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    for package in _PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    return digest.hexdigest()[:16]


def _measure(folder: Path) -> list[int]:
    """[number of files, their bytes] below a folder; [0, 0] where it is missing."""
    sizes = [entry.stat().st_size for entry in _files(folder)] if folder.is_dir() else []
    return [len(sizes), sum(sizes)]


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry


def _read_marker(path: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise CannotMake(f"{path} is damaged: delete it and the crawl beside it") from None
    return state if isinstance(state, dict) else None


def _write_marker(path: Path, state: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(state) + "\n", encoding="utf-8")
    os.replace(new, path)


# --- pictures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """A good picture as written: sha256 of its bytes, shown size in pixels, and what is in it."""

    sha256: str
    n_bytes: int
    width: int
    height: int
    faces: int
    outdoor: bool
    holding: bool
    mask: bool


def _draw_all(crawl: Path, planned: Plan, workers: int | None) -> dict[int, Drawn]:
    """Draws every picture, each from a generator of its own, so that the number of workers changes nothing."""
    for first in "0123456789abcdef":
        (crawl / "images" / first).mkdir(parents=True)
    jobs = [(str(crawl), planned.seed, picture) for picture in planned.pictures]
    bad = [(str(crawl), planned.seed, picture) for picture in planned.bad_pictures]
    count = workers or os.cpu_count() or 1
    if count == 1 or len(jobs) < FEW:
        results = [_draw(job) for job in jobs]
        for one in bad:
            _draw_bad(one)
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            done = pool.map(_draw_bad, bad, chunksize=8)
            results = list(pool.map(_draw, jobs, chunksize=24))
            list(done)
    return {picture.number: result for picture, result in zip(planned.pictures, results, strict=True)}


def _draw(job: tuple[str, int, Picture]) -> Drawn:
    from demo.encoded import encode
    from demo.kinds import BY_NAME
    from demo.photographs import LOOKS, develop, frame_size, grain
    from demo.plan import generator

    crawl, seed, picture = job
    kind = BY_NAME[picture.kind]
    rng = generator(seed, "draw", picture.number if picture.copy_of is None else picture.copy_of)
    size = frame_size(rng, kind.aspects)
    image, facts = kind.draw(size, rng)
    if kind.graded:
        look = next(look for look in LOOKS if look.name == picture.look)
        image = develop(image, look, rng)
    elif rng.random() < 0.3:
        image = grain(image, rng)
    content = encode(image, picture.encoding, rng)
    (Path(crawl) / picture.path).write_bytes(content)
    return Drawn(
        hashlib.sha256(content).hexdigest(),
        len(content),
        image.width,
        image.height,
        facts.faces,
        facts.outdoor,
        facts.holding,
        facts.mask,
    )


def _draw_bad(job: tuple[str, int, BadPicture]) -> None:
    from demo.faults import MAX_BYTES, bad_picture
    from demo.kinds import BY_NAME
    from demo.plan import generator

    crawl, seed, picture = job
    rng = generator(seed, picture.reason, picture.number)
    image, _ = BY_NAME[picture.kind].draw((320, 240), rng)
    content = bad_picture(picture.reason, picture.number, image, rng)
    if content is not None:
        with (Path(crawl) / picture.path).open("wb") as file:
            file.write(content)
            if picture.reason == "image_too_many_bytes":
                file.truncate(MAX_BYTES + 1)  # sparse: the zeros take no room on a disk


# --- posts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: file below the crawl, line from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Places:
    """Of posts and favourites by position in the plan, of superseded records and bad lines by what they are."""

    posts: dict[int, Place]
    favourites: dict[int, Place]
    superseded: dict[int, Place]
    bad: list[tuple[str, Place]]


def _write_posts(crawl: Path, planned: Plan) -> tuple[Places, int]:
    """Writes the records over the files by time; returns where each is, and how many there are in all."""
    from demo.faults import bad_line
    from demo.plan import bad_records, earlier_record, favourite_record, generator, record

    scale, posts = planned.scale, planned.posts
    files = [f"posts-{number:02d}.jsonl" for number in range(scale.files)]
    files[-1] += ".gz"
    lines: list[list[tuple[str, int | str, bytes]]] = [[] for _ in files]
    order = sorted(range(len(posts)), key=lambda index: (posts[index].posted_at, posts[index].native_id))
    for rank, index in enumerate(order):
        post, rng = posts[index], generator(planned.seed, "record", index)
        home = rank * len(files) // len(order)
        lines[home].append(("post", index, _line(record(post, rng))))
        if post.superseded:
            lines[(home + index % 2) % len(files)].append(("superseded", index, _line(earlier_record(post, rng))))
    for index, favourite in enumerate(planned.favourites):
        rng = generator(planned.seed, "favourite", index)
        lines[index % len(files)].append(("favourite", index, _line(favourite_record(favourite, rng))))
    rng = generator(planned.seed, "bad lines")
    for number, (reason, variant) in enumerate(bad_records(scale)):
        example = record(posts[int(rng.integers(len(posts)))], rng)
        example["post_id"] = f"bad{number:03d}"
        example["images"] = []
        lines[number % len(files)].append(("bad", reason, bad_line(reason, variant, example)))

    places = Places({}, {}, {}, [])
    for number, (name, own) in enumerate(zip(files, lines, strict=True)):
        shuffled = [own[index] for index in rng.permutation(len(own))]
        written: list[bytes] = []
        for what, key, line in shuffled:
            if rng.random() < 0.002:
                written.append(b"")  # blank lines count in the numbering, and are no records
            written.append(line)
            place = Place(name, len(written))
            if what == "bad":
                places.bad.append((str(key), place))
            else:
                by_index = {"post": places.posts, "superseded": places.superseded, "favourite": places.favourites}
                by_index[what][int(key)] = place
        content = b"\n".join(written) + b"\n"
        if number == 1:
            content = b"\xef\xbb\xbf" + content
        if name.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
        (crawl / name).write_bytes(content)
    return places, sum(len(own) for own in lines)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


# --- truth ------------------------------------------------------------------------------------------------------------


def _write_truth(truth: Path, planned: Plan, drawn: dict[int, Drawn], places: Places) -> None:
    from demo.kinds import KIND_NAMES
    from demo.photographs import LOOKS

    _csv(
        truth / "images.csv",
        "path sha256 n_bytes width height kind look encoding appeal faces outdoor holding mask copy_of",
        (
            (
                picture.path, one.sha256, one.n_bytes, one.width, one.height, picture.kind, picture.look,
                picture.encoding, f"{picture.appeal:.4f}", one.faces, int(one.outdoor), int(one.holding),
                int(one.mask), "" if picture.copy_of is None else paths[picture.copy_of],
            )
            for paths in [{picture.number: picture.path for picture in planned.pictures}]
            for picture in planned.pictures
            for one in [drawn[picture.number]]
        ),
    )  # fmt: skip
    _csv(
        truth / "posts.csv",
        "file line native_post_id user_id posted_at kinds likes comments level picture words novelty noise",
        (
            (
                places.posts[index].file, places.posts[index].line, post.native_id, post.user.user_id,
                post.posted_at.isoformat(), " ".join(picture.kind for picture in post.pictures), post.likes,
                post.comments, *(f"{value:.6f}" for value in (
                    post.terms.level, post.terms.picture, post.terms.words, post.terms.novelty, post.terms.noise
                )),
            )
            for index, post in enumerate(planned.posts)
        ),
    )  # fmt: skip
    _csv(
        truth / "favourites.csv",
        "file line native_post_id user_id owner_id kinds",
        (
            (
                places.favourites[index].file, places.favourites[index].line, one.post.native_id, one.user.user_id,
                one.post.user.user_id, " ".join(picture.kind for picture in one.post.pictures),
            )
            for index, one in enumerate(planned.favourites)
        ),
    )  # fmt: skip
    _csv(
        truth / "users.csv",
        " ".join(
            ["user_id archetype posts followers language several same_kind"]
            + [f"mix_{name}" for name in KIND_NAMES]
            + [f"look_{look.name}" for look in LOOKS]
        ),
        (
            (
                user.user_id, user.archetype, user.posts, user.followers, user.language, f"{user.several:.4f}",
                f"{user.same_kind:.4f}", *(f"{value:.6f}" for value in (*user.mix, *user.looks)),
            )
            for user in planned.users
        ),
    )  # fmt: skip
    _csv(
        truth / "bad_records.csv",
        "reason file line",
        ((reason, place.file, place.line) for reason, place in places.bad),
    )
    _csv(
        truth / "superseded.csv",
        "native_post_id file line",
        ((planned.posts[index].native_id, place.file, place.line) for index, place in places.superseded.items()),
    )
    _csv(
        truth / "bad_pictures.csv",
        "reason path native_post_id position",
        (
            (one.reason, one.path, post.native_id, len(post.pictures) + number + int(post.videos))
            for post in planned.posts
            for number, one in enumerate(post.extra)
        ),
    )


def _csv(path: Path, columns: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.split(" "))
        writer.writerows(rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.make_crawl", description="Make the demo crawl from photographs that packages carry."
    )
    parser.add_argument("--out", required=True, help="folder of the crawl; its truth goes into the folder beside it")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another crawl (default: 7)")
    parser.add_argument("--small", action="store_true", help="12 users and 150 posts, for tests")
    parser.add_argument("--workers", type=int, default=None, help="processes that draw (default: one a core)")
    given = parser.parse_args(argv)
    if given.seed < 0:
        parser.error("--seed must be 0 or more")
    if given.workers is not None and given.workers < 1:
        parser.error("--workers must be 1 or more")
    try:
        made = make_crawl(given.out, given.seed, given.small, given.workers)
    except (CannotMake, FileNotFoundError) as error:
        print(f"demo crawl: {error}", file=sys.stderr)
        return 2
    print(
        f"demo crawl {'made' if made.new else 'is there already'}: {made.users:,} users, {made.records:,} records, "
        f"{made.pictures:,} pictures, {made.n_bytes / 2**20:.0f} MiB in {made.path}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
