"""The `jsonl` format: one post a line, plain or gzip. Runs on executors, no I/O.

for item in iter_gzip_lines(chunks):
    match item:
        case Unreadable(line, detail): ...  # one `bad_json` row
        case (line, raw): parse_line(raw, file, line, defaults)
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from udfs.crawl.records import Bad, Defaults, Fault, Record, build, load_object

KEYS = frozenset(
    {
        "post_id",
        "user_id",
        "posted_at",
        "source",
        "relation",
        "owner_id",
        "caption",
        "hashtags",
        "tags",
        "board",
        "likes",
        "comments",
        "crawled_at",
        "images",
    }
)
# In bytes. A longer line is refused, so that none can exhaust a worker's memory; a caption has a few thousand at most.
MAX_LINE_BYTES = 16 * 2**20
_OUTPUT = 2**20  # bytes that one step of decompression may yield
_INPUT = 2**16  # bytes that one step is given: what is gone through byte by byte when they turn out damaged


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One `bad_json` row: the line at `line` cannot be read.

    It is longer than the limit, or (`ends`) the rest of a broken gzip file from that line on is lost.
    """

    line: int
    detail: str
    ends: bool = False

    def fault(self, file: str) -> Fault:
        """The row for `quarantine`; `file` as in record ids."""
        return Fault("bad_json", self.detail, f"{file}:{self.line}", self.line)


Lines = Iterator[tuple[int, bytes] | Unreadable]


class _Splitter:
    """Cuts a stream of bytes at line feeds and keeps no more than one line, of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.line = 1
        self.pieces: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> Lines:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._keep(piece)
            yield self._take()
        self._keep(rest)

    def finish(self) -> Lines:
        if self.size:
            yield self._take()

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self.limit:
            self.pieces.clear()
        elif piece:
            self.pieces.append(piece)

    def _take(self) -> tuple[int, bytes] | Unreadable:
        line, size, raw = self.line, self.size, b"".join(self.pieces)
        self.line += 1
        self.size = 0
        self.pieces.clear()
        if size > self.limit:
            return Unreadable(line, f"the line has {size:,} bytes, more than {self.limit:,}")
        return line, raw


def iter_lines(chunks: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Lines:
    r"""(line number from 1, bytes without the line feed) of a file given in chunks; lines end at `\n` only.

    Blank lines are yielded too, since they count. A line above the limit is one `Unreadable` in its place.
    """
    splitter = _Splitter(max_line_bytes)
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()


def iter_gzip_lines(chunks: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Lines:
    """As `iter_lines`, of gzip data (several members and zero padding included), in bounded memory.

    Of a broken file (no gzip, cut, damaged, garbage behind a member) the whole lines before the break are yielded,
    then one `Unreadable` that `ends`, at the line behind them.
    """
    splitter = _Splitter(max_line_bytes)
    try:
        for data in _inflate(chunks):
            yield from splitter.feed(data)
    except _BrokenGzip as broken:
        yield Unreadable(splitter.line, str(broken), ends=True)
        return
    yield from splitter.finish()


class _BrokenGzip(Exception):
    pass


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = None
    padding = False
    for data in (chunk[at : at + _INPUT] for chunk in chunks for at in range(0, len(chunk), _INPUT)):
        while data:
            if member is None:
                # Between members there may be zero padding, as the gzip tool allows, and nothing else behind it.
                data = data.lstrip(b"\0") if padding else data
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
            before = member.copy()
            try:
                out = member.decompress(data, _OUTPUT)
            except zlib.error as error:
                yield from _salvage(before, data)
                raise _BrokenGzip(f"the gzip data is damaged ({_cause(error)})") from None
            if out:
                yield out
            if member.eof:
                data = member.unused_data
                member, padding = None, True
            else:
                data = member.unconsumed_tail
    while member is not None and not member.eof:
        # What the last step held back by its output limit comes out of the data that was already fed.
        out = member.decompress(b"", _OUTPUT)
        if not out:
            raise _BrokenGzip("the gzip data ends too early")
        yield out


def _salvage(member: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    # zlib drops the output of the call that fails; byte by byte, what comes before the damage is kept.
    for at in range(len(data)):
        try:
            out = member.decompress(data[at : at + 1])
        except zlib.error:
            return
        if out:
            yield out


def _cause(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2]


def parse_line(raw: bytes, file: str, line: int, defaults: Defaults) -> Record | Fault | None:
    """The record of one line, or its first fault; None for a blank line.

    `file` is the name in record ids (the path below the crawl behind `crawl.name`), `line` counts from 1. Never raises
    for any bytes.
    """
    if not raw.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n"):
        return None
    if len(raw) > MAX_LINE_BYTES:
        return Unreadable(line, f"the line has {len(raw):,} bytes, more than {MAX_LINE_BYTES:,}").fault(file)
    try:
        given = load_object(raw)
    except Bad as bad:
        return Fault(bad.reason, bad.detail, f"{file}:{line}", line)
    known = {name: value for name, value in given.items() if name in KEYS}
    return build(known, file=file, line=line, defaults=defaults, unknown_keys=len(given) - len(known))
