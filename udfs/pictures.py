"""What a picture file is, told from its bytes without decoding it. Runs on executors, no I/O.

Every format is walked by its own structure, from the first byte to its end marker: nothing is decompressed, nothing is
allocated that a header asks for, and no bytes can make it raise. `image_truncated` is said of every file of a known
type that cannot be decoded whole as far as its structure tells: cut, with a damaged header, without pixels, or without
its end marker. What a full decode alone can find is left to the image pass.

Formats: JPEG (ITU T.81), PNG (W3C PNG third edition), GIF89a, WebP (RFC 9649), BMP (Windows 3 and OS/2 1), TIFF 6.0 and
BigTIFF; orientation from Exif 2.3 or XMP, as Pillow's `ImageOps.exif_transpose` applies it.
"""

import hashlib
import posixpath
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")

# Orientations that lie on their side: width and height change places (Exif 2.3, tag 0x0112).
_SIDEWAYS = (5, 6, 7, 8)
_ORIENTATION = 0x0112
_XMP_TAG = 700
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")
# Enough for any real file; keeps a file made of nothing but tiny blocks from costing minutes.
_MAX_STEPS = 500_000

_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|[A-Za-z]:", re.ASCII)


@dataclass(frozen=True, slots=True)
class Picture:
    """`format`: one of `FORMATS`; width, height: pixels as shown, after orientation; sha256: of the bytes, in hex."""

    format: str
    width: int
    height: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a picture is not taken: `reason` as in `quarantine`, `detail` one sentence."""

    reason: str
    detail: str


class _Cut(Exception):
    """The file ends before its structure does, or the structure is damaged."""


class _Unsupported(Exception):
    """A variant of a known format that no common decoder reads."""


@dataclass(slots=True)
class _Shape:
    width: int
    height: int
    orientation: int = 1


def inspect(content: bytes, max_bytes: int, max_pixels: int) -> Picture | Fault:
    """Type, shown size and hash of a picture file, or why it is not taken. Never raises for any bytes.

    The first that holds of: `image_too_many_bytes` (more than `max_bytes`), `not_an_image` (empty, or no known type),
    `unsupported_format` (AVIF, HEIC, and variants of JPEG and BMP that decoders refuse), `image_too_many_pixels` (the
    header promises more than `max_pixels`), `image_truncated`.
    """
    if len(content) > max_bytes:
        return Fault("image_too_many_bytes", f"{len(content):,} bytes, more than {max_bytes:,}")
    if not content:
        return Fault("not_an_image", "the file is empty")
    kind = _kind(content)
    if kind is None:
        return Fault("not_an_image", "the bytes are of no known picture type")
    if kind in ("avif", "heic"):
        return Fault("unsupported_format", f"{kind} is not taken: convert it to jpeg")
    measure, check = _WALKS[kind]
    try:
        shape = measure(content)
        if shape.width <= 0 or shape.height <= 0:
            return Fault("image_truncated", f"{kind}: the header gives no size")
        if shape.width * shape.height > max_pixels:
            return Fault(
                "image_too_many_pixels", f"{shape.width:,} x {shape.height:,} pixels, more than {max_pixels:,}"
            )
        check(content, shape)
    except _Unsupported as error:
        return Fault("unsupported_format", f"{kind}: {error}")
    except _Cut as error:
        return Fault("image_truncated", f"{kind}: {error}")
    except struct.error:  # a fixed-size field lies beyond the end of the file
        return Fault("image_truncated", f"{kind}: the file ends inside a header")
    width, height = shape.width, shape.height
    if shape.orientation in _SIDEWAYS:
        width, height = height, width
    return Picture(kind, width, height, len(content), hashlib.sha256(content).hexdigest())


def resolve(path: str) -> str | None:
    """The path normalised below the crawl root (`a/../b` is `b`), or None where it leaves it: `path_outside_crawl`.

    Absolute paths (`/x`, `C:\\x`, `file:///x`, `s3://x`), any step above the root even if it comes back, back slashes
    and NUL are outside. The root itself is "", which is no file. Links are not looked at: whoever opens the file does.
    """
    if "\\" in path or "\0" in path or path.startswith("/") or _ABSOLUTE.match(path):
        return None
    depth = 0
    for step in path.split("/"):
        depth += -1 if step == ".." else 0 if step in ("", ".") else 1
        if depth < 0:
            return None
    normal = posixpath.normpath(path)
    return "" if normal == "." else normal


def _kind(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if content[:2] == b"BM" and content[14:18] in _BMP_HEADERS:
        return "bmp"
    if content[4:8] == b"ftyp":
        size = min(max(int.from_bytes(content[:4], "big"), 16), 256)
        brands = {content[8:12], *(content[at : at + 4] for at in range(16, size, 4))} & _BRANDS
        if brands:
            return "avif" if brands & {b"avif", b"avis"} else "heic"
    return None


def _need(content: bytes, end: int, what: str) -> None:
    if end > len(content):
        raise _Cut(f"{what} ends {end - len(content):,} bytes behind the end of the file")


# --- JPEG -------------------------------------------------------------------------------------------------------------

_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended, progressive, and the same with arithmetic coding: what libjpeg-turbo decodes.
_SOF_DECODED = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# In entropy-coded data FF00 is a byte and FFD0-FFD7 are restarts: anything else after FF is a marker.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, begin, end) of each segment's data, up to EOI included."""
    at = 2
    for _ in range(_MAX_STEPS):
        found = _MARKER.search(content, at)
        if found is None:
            raise _Cut("no end-of-image marker")
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            yield marker, at, at
            return
        if marker in _ALONE:
            continue
        # A length counts its own two bytes; decoders pass over one that is smaller.
        size = max(int.from_bytes(content[at : at + 2], "big"), 2)
        _need(content, at + size, "a segment")
        yield marker, at + 2, at + size
        at += size
    raise _Cut(f"more than {_MAX_STEPS:,} markers")


def _measure_jpeg(content: bytes) -> _Shape:
    for marker, begin, end in _jpeg_segments(content):
        if marker in _SOF:
            if marker not in _SOF_DECODED:
                raise _Unsupported(f"coding process SOF{marker - 0xC0}")
            precision, height, width, components = struct.unpack_from(">BHHB", content, begin)
            if precision != 8:
                raise _Unsupported(f"{precision} bits a sample")
            if end - begin < 6 + 3 * components or not components:
                raise _Cut("a damaged frame header")
            return _Shape(width, height)
        if marker in (_SOS, _EOI):
            break
    raise _Cut("no frame header before the pixels")


def _check_jpeg(content: bytes, shape: _Shape) -> None:
    # Through the compressed data this is one regular expression, and what follows the end marker (the further
    # pictures of an MPO, a phone's own data) is not looked at.
    pixels, exif, xmp = False, 0, 0
    for marker, begin, end in _jpeg_segments(content):
        if marker == _SOS:
            pixels = True
        elif marker == _APP1 and not pixels:
            data = content[begin:end]
            if data.startswith(b"Exif\0\0"):
                exif = exif or _exif_orientation(data[6:])
            elif data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = xmp or _xmp_orientation(data)
    if not pixels:
        raise _Cut("no pixels before the end-of-image marker")
    shape.orientation = exif or xmp or 1


# --- PNG --------------------------------------------------------------------------------------------------------------

# Colour type to the bit depths that it may have (PNG, table 11.1).
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def _measure_png(content: bytes) -> _Shape:
    if content[8:16] != b"\0\0\0\x0dIHDR":
        raise _Cut("no IHDR chunk at the begin")
    width, height, depth, colour, compression, filters, interlace, checksum = struct.unpack_from(
        ">IIBBBBBI", content, 16
    )
    if zlib.crc32(content[12:29]) != checksum:
        raise _Cut("the checksum of the IHDR chunk is wrong")
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise _Cut("the IHDR chunk holds impossible values")
    if max(width, height) > 2**31 - 1:
        raise _Cut("the IHDR chunk holds an impossible size")
    return _Shape(width, height)


def _check_png(content: bytes, shape: _Shape) -> None:
    at, pixels, xmp = 8, False, 0
    exif = 0
    for _ in range(_MAX_STEPS):
        size, kind = struct.unpack_from(">I4s", content, at)
        _need(content, at + 12 + size, "a chunk")
        begin = at + 8
        if kind == b"IEND":
            if not pixels:
                raise _Cut("no IDAT chunk before the IEND chunk")
            shape.orientation = exif or xmp or 1
            return
        if kind == b"IDAT":
            pixels = True
        elif kind == b"eXIf":
            exif = exif or _exif_orientation(content[begin : begin + size])
        elif kind == b"iTXt" and content[begin : begin + 18] == b"XML:com.adobe.xmp\0":
            xmp = xmp or _xmp_orientation(content[begin : begin + size])
        at = begin + size + 4
    raise _Cut(f"more than {_MAX_STEPS:,} chunks")


# --- GIF --------------------------------------------------------------------------------------------------------------


def _measure_gif(content: bytes) -> _Shape:
    width, height = struct.unpack_from("<HH", content, 6)
    at = _gif_blocks(content)
    # A first frame that is larger than the screen enlarges it, as decoders do.
    found = _gif_image(content, at)
    if found is None:
        raise _Cut("no image before the end of the file")
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", content, found + 1)
    if not frame_width or not frame_height:
        raise _Cut("the first frame has no size")
    return _Shape(max(width, left + frame_width), max(height, top + frame_height))


def _gif_blocks(content: bytes) -> int:
    """Where the blocks begin: behind the screen descriptor and the global palette."""
    _need(content, 13, "the screen descriptor")
    flags = content[10]
    return 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)


def _gif_image(content: bytes, at: int) -> int | None:
    """The first image descriptor from a block on; None where the trailer comes first."""
    for _ in range(_MAX_STEPS):
        _need(content, at + 1, "the list of blocks")
        if content[at] == 0x2C:
            return at
        if content[at] == 0x3B:
            return None
        if content[at] != 0x21:
            raise _Cut("an unknown block")
        at = _gif_sub_blocks(content, at + 2)
    raise _Cut(f"more than {_MAX_STEPS:,} blocks")


def _gif_sub_blocks(content: bytes, at: int) -> int:
    for _ in range(_MAX_STEPS):
        _need(content, at + 1, "a block")
        if not content[at]:
            return at + 1
        at += 1 + content[at]
    raise _Cut(f"a block of more than {_MAX_STEPS:,} pieces")


def _check_gif(content: bytes, shape: _Shape) -> None:
    at = _gif_blocks(content)
    for _ in range(_MAX_STEPS):
        image = _gif_image(content, at)
        if image is None:
            return
        _need(content, image + 10, "an image descriptor")
        flags = content[image + 9]
        palette = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
        at = _gif_sub_blocks(content, image + 10 + palette + 1)
    raise _Cut(f"more than {_MAX_STEPS:,} frames")


# --- WebP -------------------------------------------------------------------------------------------------------------


def _measure_webp(content: bytes) -> _Shape:
    kind = content[12:16]
    if kind == b"VP8X":
        _need(content, 30, "the VP8X chunk")
        return _Shape(1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little"))
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", content, 20)
        if signature != 0x2F:
            raise _Cut("a damaged VP8L header")
        return _Shape(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        code, width, height = struct.unpack_from("<3sHH", content, 23)
        if code != b"\x9d\x01\x2a":
            raise _Cut("a damaged VP8 header")
        return _Shape(width & 0x3FFF, height & 0x3FFF)
    raise _Cut("no picture chunk at the begin")


def _check_webp(content: bytes, shape: _Shape) -> None:
    end = 8 + int.from_bytes(content[4:8], "little")
    _need(content, end, "the RIFF file")
    at, pixels, exif, xmp = 12, False, 0, 0
    for _ in range(_MAX_STEPS):
        if at + 8 > end:
            break
        kind, size = struct.unpack_from("<4sI", content, at)
        if at + 8 + size > end:
            raise _Cut("a chunk ends behind the RIFF file")
        if kind in (b"VP8 ", b"VP8L", b"ANMF"):
            pixels = True
        elif kind == b"EXIF":
            exif = exif or _exif_orientation(content[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0"))
        elif kind == b"XMP ":
            xmp = xmp or _xmp_orientation(content[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)
    if not pixels:
        raise _Cut("no picture chunk")
    shape.orientation = exif or xmp or 1


# --- BMP --------------------------------------------------------------------------------------------------------------

_BMP_CORE = 12
_BMP_HEADERS = frozenset(struct.pack("<I", size) for size in (_BMP_CORE, 40, 52, 56, 64, 108, 124))
_BMP_RAW = (0, 3, 6)  # BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS
_BMP_RUNS = (1, 2)  # BI_RLE8, BI_RLE4


def _bmp_header(content: bytes) -> tuple[int, int, int, int, int]:
    """(width, height, bits a pixel, compression, size of the compressed pixels)."""
    if content[14] == _BMP_CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        compression, size = 0, 0
    else:
        width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", content, 18)
    if bits not in (1, 4, 8, 16, 24, 32):
        raise _Unsupported(f"{bits} bits a pixel")
    return width, abs(height), bits, compression, size


def _measure_bmp(content: bytes) -> _Shape:
    width, height, _, _, _ = _bmp_header(content)
    return _Shape(width, height)


def _check_bmp(content: bytes, shape: _Shape) -> None:
    # The file size that the header states is often wrong; what the pixels need is not.
    width, height, bits, compression, size = _bmp_header(content)
    (offset,) = struct.unpack_from("<I", content, 10)
    if compression in _BMP_RAW:
        needed = (width * bits + 31) // 32 * 4 * height
    elif compression in _BMP_RUNS:
        needed = size
    else:
        raise _Unsupported(f"compression {compression}")
    _need(content, offset + max(needed, 1), "the pixel array")


# --- TIFF -------------------------------------------------------------------------------------------------------------

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_WIDTH, _HEIGHT, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 256, 257, 273, 279, 324, 325
# Besides these, what decoding rests on: BitsPerSample, ColorMap, SampleFormat, JPEGTables.
_TIFF_NEEDED = (258, 320, 339, 347)


class _Tiff:
    """The first directory of a TIFF structure, in a TIFF file or in Exif data."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order = "<" if content[:2] == b"II" else ">"
        self.big = content[2:4] in (b"+\0", b"\0+")
        self.entries: dict[int, tuple[int, int, int]] = {}  # tag: (type, count, offset of the values)
        word = "Q" if self.big else "I"
        at = self._one(word, 8 if self.big else 4)
        count = self._one("Q" if self.big else "H", at)
        size, inline = (20, 8) if self.big else (12, 4)
        at += 8 if self.big else 2
        _need(content, at + count * size, "the directory")
        for entry in range(at, at + count * size, size):
            tag, kind = self._one("H", entry), self._one("H", entry + 2)
            n, place = self._one(word, entry + 4), entry + size - inline
            if n * _TIFF_SIZES.get(kind, 1) > inline:
                place = self._one(word, place)
            self.entries.setdefault(tag, (kind, n, place))
        self.end = at + count * size + inline  # the offset of the next directory included

    def _one(self, kind: str, at: int) -> int:
        _need(self.content, at + struct.calcsize("=" + kind), "a field")
        return int(struct.unpack_from(self.order + kind, self.content, at)[0])

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The tag's whole numbers, () where it is absent or of another type."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        if kind not in _TIFF_WHOLE:
            return ()
        if count > _MAX_STEPS:
            raise _Cut(f"tag {tag} has more than {_MAX_STEPS:,} values")
        _need(self.content, place + count * _TIFF_SIZES[kind], f"tag {tag}")
        return struct.unpack_from(f"{self.order}{count}{_TIFF_WHOLE[kind]}", self.content, place)

    def last(self, tag: int) -> int:
        """Where the tag's values end, 0 where it is absent."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        return place + count * _TIFF_SIZES.get(kind, 1)

    def raw(self, tag: int) -> bytes:
        """The bytes of the tag's values, b"" where it is absent."""
        kind, count, place = self.entries.get(tag, (0, 0, 0))
        return self.content[place : place + count * _TIFF_SIZES.get(kind, 1)]


def _measure_tiff(content: bytes) -> _Shape:
    tiff = _Tiff(content)
    width, height = tiff.numbers(_WIDTH)[:1], tiff.numbers(_HEIGHT)[:1]
    if not width or not height:
        raise _Cut("no size in the first directory")
    orientation = tiff.numbers(_ORIENTATION)[:1]
    turned = orientation[0] if orientation else _xmp_orientation(tiff.raw(_XMP_TAG))
    return _Shape(width[0], height[0], turned if 1 <= turned <= 8 else 1)


def _check_tiff(content: bytes, shape: _Shape) -> None:
    tiff = _Tiff(content)
    _need(content, tiff.end, "the directory")
    for tag in _TIFF_NEEDED:
        _need(content, tiff.last(tag), f"tag {tag}")
    offsets = tiff.numbers(_STRIPS) or tiff.numbers(_TILES)
    sizes = tiff.numbers(_STRIP_BYTES) or tiff.numbers(_TILE_BYTES)
    if not offsets:
        raise _Cut("no strips and no tiles")
    if sizes and len(sizes) != len(offsets):
        raise _Cut("the number of strips and of their sizes differ")
    _need(content, max(map(sum, zip(offsets, sizes or (1,) * len(offsets), strict=True))), "a strip")


# --- orientation ------------------------------------------------------------------------------------------------------


def _exif_orientation(exif: bytes) -> int:
    """1-8, or 0 where the Exif data say nothing readable: then the picture is shown as it is stored."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 0
    try:
        found = _Tiff(exif).numbers(_ORIENTATION)
    except (_Cut, struct.error):
        return 0
    return found[0] if found and 1 <= found[0] <= 8 else 0


def _xmp_orientation(xmp: bytes) -> int:
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 0


_WALKS: dict[str, tuple[Callable[[bytes], _Shape], Callable[[bytes, _Shape], None]]] = {
    "jpeg": (_measure_jpeg, _check_jpeg),
    "png": (_measure_png, _check_png),
    "gif": (_measure_gif, _check_gif),
    "webp": (_measure_webp, _check_webp),
    "bmp": (_measure_bmp, _check_bmp),
    "tiff": (_measure_tiff, _check_tiff),
}
