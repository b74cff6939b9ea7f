"""What a picture is: against Pillow's full decode on real photographs, cut and mutated in every way."""

import hashlib
import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from udfs.pictures import FORMATS, Fault, Picture, inspect, resolve

BYTES, PIXELS = 64 * 2**20, 100_000_000
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
CALTECH = Path(__file__).resolve().parents[3] / "shared" / "data" / "caltech101_sample"


def look(content: bytes, max_bytes: int = BYTES, max_pixels: int = PIXELS) -> Picture | Fault:
    return inspect(content, max_bytes, max_pixels)


def reason(content: bytes, **limits: int) -> str:
    found = look(content, **limits)
    assert isinstance(found, Fault), found
    assert found.detail
    return found.reason


def photo(width: int = 120, height: int = 80) -> Image.Image:
    """A real photograph, reduced."""
    return Image.fromarray(load_sample_images().images[0]).resize((width, height))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opens_whole(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception:  # noqa: BLE001 - any failure of the decoder is the answer
        return False
    return True


def variants() -> dict[str, bytes]:
    image = photo()
    alpha = image.copy()
    alpha.putalpha(128)
    grey = image.convert("L")
    frames = [image.rotate(angle) for angle in (0, 90)]
    return {
        "jpeg": saved(image, "JPEG"),
        "jpeg progressive": saved(image, "JPEG", progressive=True),
        "jpeg grey": saved(grey, "JPEG"),
        "jpeg cmyk": saved(image.convert("CMYK"), "JPEG"),
        "jpeg restarts": saved(image, "JPEG", restart_marker_blocks=4),
        "jpeg comment": saved(image, "JPEG", comment=b"\xff\xd9 no end"),
        "png": saved(image, "PNG"),
        "png alpha": saved(alpha, "PNG"),
        "png palette": saved(image.quantize(16), "PNG"),
        "png 16 bit": saved(grey.convert("I;16"), "PNG"),
        "png one bit": saved(image.convert("1"), "PNG"),
        "png animated": saved(image, "PNG", save_all=True, append_images=frames),
        "gif": saved(image, "GIF"),
        "gif animated": saved(image, "GIF", save_all=True, append_images=frames),
        "webp": saved(image, "WEBP"),
        "webp lossless": saved(image, "WEBP", lossless=True),
        "webp alpha": saved(alpha, "WEBP"),
        "webp animated": saved(image, "WEBP", save_all=True, append_images=frames),
        "webp metadata": saved(image, "WEBP", xmp=b"<x/>"),
        "bmp": saved(image, "BMP"),
        "bmp palette": saved(image.quantize(16), "BMP"),
        "bmp one bit": saved(image.convert("1"), "BMP"),
        "tiff": saved(image, "TIFF"),
        "tiff lzw": saved(image, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": saved(image, "TIFF", compression="jpeg"),
        "tiff 16 bit": saved(grey.convert("I;16"), "TIFF"),
        "tiff big": saved(image, "TIFF", big_tiff=True),
        "tiff pages": saved(image, "TIFF", save_all=True, append_images=frames),
    }


VARIANTS = variants()


def edited(name: str, at: int, new: bytes) -> bytes:
    content = bytearray(VARIANTS[name])
    content[at : at + len(new)] = new
    return bytes(content)


# --- what is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_every_format_with_its_size_and_hash(name: str) -> None:
    content = VARIANTS[name]
    kind = name.split()[0]
    assert kind in FORMATS
    assert look(content) == Picture(kind, 120, 80, len(content), hashlib.sha256(content).hexdigest())


def test_a_real_photograph() -> None:
    content = HOPPER.read_bytes()
    with Image.open(HOPPER) as image:
        size = image.size
    found = look(content)
    assert isinstance(found, Picture)
    assert (found.format, found.width, found.height) == ("jpeg", *size)


@pytest.mark.realdata
@pytest.mark.skipif(not CALTECH.is_dir(), reason="the Caltech sample is not here")
def test_real_photographs() -> None:
    paths = sorted(CALTECH.glob("*/*.jpg"))
    assert len(paths) == 1250
    for path in paths:
        with Image.open(path) as image:
            size = image.size
        found = look(path.read_bytes())
        assert isinstance(found, Picture), (path, found)
        assert (found.width, found.height) == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_size_is_as_shown_after_exif_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker whose name is stored behind the directory"
    exif[0x0112] = orientation
    content = saved(photo(), kind, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        shown = ImageOps.exif_transpose(image).size
    found = look(content)
    assert isinstance(found, Picture)
    assert (found.width, found.height) == shown == ((120, 80) if orientation < 5 else (80, 120))


def big_endian_exif(orientation: int) -> bytes:
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def with_segment(content: bytes, marker: int, data: bytes) -> bytes:
    return content[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + content[2:]


XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    ("data", "turned"),
    [
        (big_endian_exif(6), True),
        (big_endian_exif(3), False),
        (big_endian_exif(9), False),
        (big_endian_exif(0), False),
        (b"Exif\0\0", False),
        (b"Exif\0\0II*\0\xff\xff\xff\xff", False),
        (b"Exif\0\0II*\0\x08\0\0\0\xff\xff", False),
        (b"Exif\0\0garbage", False),
        (XMP, True),
    ],
)
def test_orientation_by_other_writers_and_damaged_exif(data: bytes, turned: bool) -> None:
    content = with_segment(VARIANTS["jpeg"], 0xE1, data)
    found = look(content)
    assert isinstance(found, Picture)
    assert (found.width, found.height) == ((80, 120) if turned else (120, 80))


def test_exif_goes_before_xmp() -> None:
    found = look(with_segment(with_segment(VARIANTS["jpeg"], 0xE1, XMP), 0xE1, big_endian_exif(1)))
    assert isinstance(found, Picture)
    assert (found.width, found.height) == (120, 80)


def test_a_thumbnails_end_marker_is_not_the_pictures() -> None:
    whole = with_segment(VARIANTS["jpeg"], 0xE1, b"Exif\0\0" + saved(photo(16, 16), "JPEG"))
    assert isinstance(look(whole), Picture)
    assert reason(whole[:-2]) == "image_truncated"


@pytest.mark.parametrize("name", [name for name in VARIANTS if not name.startswith(("tiff", "bmp"))])
@pytest.mark.parametrize("trailer", [b"\0" * 100, b"\r\n", VARIANTS["jpeg"], b"\xff" * 1000])
def test_what_follows_the_end_marker_does_not_matter(name: str, trailer: bytes) -> None:
    whole = look(VARIANTS[name])
    found = look(VARIANTS[name] + trailer)
    assert isinstance(whole, Picture)
    assert isinstance(found, Picture)
    assert (found.width, found.height) == (whole.width, whole.height)


def test_a_picture_of_several_pictures() -> None:
    content = saved(photo(), "MPO", save_all=True, append_images=[photo(60, 40)])
    found = look(content)
    assert isinstance(found, Picture)
    assert (found.format, found.width, found.height) == ("jpeg", 120, 80)


def test_a_gif_whose_first_frame_is_larger_than_its_screen() -> None:
    content = bytearray(VARIANTS["gif"])
    content[6:10] = struct.pack("<HH", 1, 1)
    with Image.open(io.BytesIO(bytes(content))) as image:
        size = image.size
    found = look(bytes(content))
    assert isinstance(found, Picture)
    assert (found.width, found.height) == size == (120, 80)


def test_bitmaps_from_top_to_bottom_and_by_os2() -> None:
    content = bytearray(VARIANTS["bmp"])
    content[22:26] = struct.pack("<i", -80)
    assert isinstance(look(bytes(content)), Picture)
    row = (10 * 24 + 31) // 32 * 4
    core = b"BM" + struct.pack("<IHHIIHHHH", 26 + row * 5, 0, 0, 26, 12, 10, 5, 1, 24) + bytes(row * 5)
    assert opens_whole(core)
    found = look(core)
    assert isinstance(found, Picture)
    assert (found.width, found.height) == (10, 5)
    assert reason(core[:-1]) == "image_truncated"


def test_a_bitmap_whose_stated_file_size_is_wrong() -> None:
    content = bytearray(VARIANTS["bmp"])
    for stated in (0, 1, 2**32 - 1):
        content[2:6] = struct.pack("<I", stated)
        assert isinstance(look(bytes(content)), Picture)


@pytest.mark.parametrize(
    "content",
    [
        edited("jpeg", 4, b"\0\0"),  # a segment of no length
        edited("bmp", 10, struct.pack("<I", 20)),  # pixels that begin inside the header
        edited("bmp", 26, b"\0\0"),  # no planes
    ],
)
def test_what_decoders_pass_over_is_passed_over(content: bytes) -> None:
    assert opens_whole(content)
    assert isinstance(look(content), Picture)


# --- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff",
        b"\xff\xd8",
        b"BM",
        b"BM is how this text begins, and it is no bitmap at all",
        b"GIF88a" + b"\0" * 50,
        b"RIFF\0\0\0\0WAVE" + b"\0" * 50,
        b"<html><body>not found</body></html>",
        b'{"error": 404}',
        b"%PDF-1.7",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + b"\0" * 100,
        b"\0\0\0\x0cJXL \r\n\x87\n",
        bytes(10_000),
    ],
)
def test_not_an_image(content: bytes) -> None:
    assert reason(content) == "not_an_image"


@pytest.mark.parametrize("major", [b"heic", b"mif1", b"avif", b"heix", b"msf1"])
def test_unsupported_brands(major: bytes) -> None:
    assert reason(b"\0\0\0\x18ftyp" + major + b"\0\0\0\0mif1heic" + b"\0" * 100) == "unsupported_format"
    assert reason(b"\0\0\0\x18ftypxxxx\0\0\0\0" + major + b"miaf") == "unsupported_format"


def test_a_real_avif() -> None:
    assert reason(saved(photo(), "AVIF")) == "unsupported_format"


@pytest.mark.parametrize("process", [0xC3, 0xC5, 0xC7, 0xCB, 0xCF])
def test_unsupported_jpeg_processes(process: int) -> None:
    content = VARIANTS["jpeg"].replace(b"\xff\xc0", bytes([0xFF, process]), 1)
    assert reason(content) == "unsupported_format"
    assert not opens_whole(content)


def test_unsupported_precision_and_bitmap_compression() -> None:
    frame = VARIANTS["jpeg"].index(b"\xff\xc0")
    content = bytearray(VARIANTS["jpeg"])
    content[frame + 4] = 12
    assert reason(bytes(content)) == "unsupported_format"
    bitmap = bytearray(VARIANTS["bmp"])
    bitmap[30:34] = struct.pack("<I", 4)  # BI_JPEG
    assert reason(bytes(bitmap)) == "unsupported_format"
    bitmap = bytearray(VARIANTS["bmp"])
    bitmap[28:30] = struct.pack("<H", 2)
    assert reason(bytes(bitmap)) == "unsupported_format"


def test_limits() -> None:
    content = VARIANTS["png"]
    assert reason(content, max_bytes=len(content) - 1) == "image_too_many_bytes"
    assert isinstance(look(content, max_bytes=len(content)), Picture)
    assert reason(content, max_pixels=120 * 80 - 1) == "image_too_many_pixels"
    assert isinstance(look(content, max_pixels=120 * 80), Picture)
    assert reason(b"x" * 100, max_bytes=10) == "image_too_many_bytes"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, pixels: bool = True) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + (chunk(b"IDAT", zlib.compress(b"\0")) if pixels else b"") + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_told_from_its_header() -> None:
    assert reason(png(2**31 - 1, 2**31 - 1)) == "image_too_many_pixels"
    assert reason(png(10_001, 10_000)) == "image_too_many_pixels"
    frame = VARIANTS["jpeg"].index(b"\xff\xc0")
    content = bytearray(VARIANTS["jpeg"])
    content[frame + 5 : frame + 9] = b"\xff" * 4
    assert reason(bytes(content)) == "image_too_many_pixels"
    content = bytearray(VARIANTS["gif"])
    content[6:10] = b"\xff" * 4
    assert reason(bytes(content)) == "image_too_many_pixels"


@pytest.mark.parametrize(
    "content",
    [
        png(0, 5),
        png(5, 0),
        png(2**31, 1),
        png(5, 5, depth=3),
        png(5, 5, colour=1),
        png(5, 5, pixels=False),
        VARIANTS["png"][:29] + b"\0\0\0\0" + VARIANTS["png"][33:],  # the checksum of IHDR
        VARIANTS["png"][:8] + VARIANTS["png"][33:],  # no IHDR
    ],
)
def test_damaged_png_headers(content: bytes) -> None:
    assert reason(content) == "image_truncated"


@pytest.mark.parametrize(
    "content",
    [
        edited("jpeg", VARIANTS["jpeg"].index(b"\xff\xc0") + 5, b"\0\0"),  # no height
        edited("jpeg", VARIANTS["jpeg"].index(b"\xff\xc0") + 7, b"\0\0"),  # no width
        edited("jpeg", VARIANTS["jpeg"].index(b"\xff\xc0") + 9, b"\0"),  # no components
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xff\xff\xff",
        VARIANTS["jpeg"][: VARIANTS["jpeg"].index(b"\xff\xda")] + b"\xff\xd9",  # no pixels
        edited("webp", 23, b"\0\0\0"),  # the start code
        edited("webp", 26, b"\0\0"),
        edited("webp lossless", 20, b"\0"),  # the signature
        edited("webp", 12, b"ALPH"),
        edited("bmp", 18, struct.pack("<i", 0)),
        edited("bmp", 18, struct.pack("<i", -120)),
        edited("tiff", 4, struct.pack("<I", 2**32 - 1)),  # the directory is elsewhere
        edited("tiff big", 8, b"\xff" * 8),
        b"II*\0\x08\0\0\0\0\0",
        b"GIF89a" + b"\1\0\1\0\0\0\0" + b";",  # no frame
        b"GIF89a" + b"\0" * 20,
    ],
)
def test_damaged_headers(content: bytes) -> None:
    assert not opens_whole(content)
    assert reason(content) == "image_truncated"


# --- cut and mutated --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_a_cut_picture_is_never_taken(name: str) -> None:
    content = VARIANTS[name]
    for end in {*range(0, 400), *range(0, len(content), 37), *range(len(content) - 60, len(content))}:
        found = look(content[:end])
        if isinstance(found, Picture):
            # Only padding and directories of later pages lie behind what is needed.
            assert name.startswith(("tiff", "webp", "bmp")), end
            assert opens_whole(content[:end]), end
        else:
            assert found.reason == ("image_truncated" if end >= 30 else found.reason)
            assert found.reason in ("image_truncated", "not_an_image")


def test_a_photograph_cut_at_every_marker() -> None:
    content = HOPPER.read_bytes()
    markers = [at for at in range(len(content) - 1) if content[at] == 0xFF and content[at + 1] not in (0, 0xFF)]
    assert len(markers) > 8
    for at in markers:
        for end in (at, at + 1, at + 2, at + 3, at + 4):
            if 3 <= end < len(content):
                assert reason(content[:end]) == "image_truncated"


def test_a_download_that_was_filled_up_with_noughts() -> None:
    content = HOPPER.read_bytes()
    half = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
    assert reason(half) == "image_truncated"


@pytest.mark.parametrize("name", VARIANTS)
def test_no_mutation_raises(name: str) -> None:
    dice = random.Random(name)
    content = VARIANTS[name]
    reasons = {"picture": 0}
    for _ in range(400):
        mutated = bytearray(content)
        for _ in range(dice.randrange(1, 6)):
            # Headers are where it matters: half of the mutations fall into the first 200 bytes.
            at = dice.randrange(min(200, len(mutated)) if dice.random() < 0.5 else len(mutated))
            match dice.randrange(4):
                case 0:
                    mutated[at] = dice.randrange(256)
                case 1:
                    size = dice.randrange(1, 9)
                    mutated[at : at + size] = dice.choice([b"\xff", b"\0", b"\x7f"]) * size
                case 2:
                    del mutated[at : at + dice.randrange(1, 30)]
                case _:
                    mutated[at:at] = dice.randbytes(dice.randrange(1, 30))
        found = look(bytes(mutated))
        assert isinstance(found, Picture | Fault)
        if isinstance(found, Picture):
            assert found.width > 0
            assert found.height > 0
            assert found.width * found.height <= PIXELS
            reasons["picture"] += 1
        else:
            reasons[found.reason] = reasons.get(found.reason, 0) + 1
    assert len(reasons) > 1


@pytest.mark.parametrize(
    "magic",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\xff\xff\0\0WEBPVP8X",
        b"BM",
        b"II*\0",
        b"MM\0+",
        b"\0\0\0\x20ftyp",
    ],
)
def test_no_bytes_behind_a_magic_raise(magic: bytes) -> None:
    dice = random.Random(magic)
    for size in range(400):
        noise = dice.randbytes(size) if size % 2 else bytes(dice.choice([0, 1, 8, 12, 255]) for _ in range(size))
        assert isinstance(look(magic + noise), Picture | Fault)


def blocks_of_gif() -> bytes:
    return b"GIF89a" + b"\1\0\1\0\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0\2" + b"\1\0" * 4_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"\xff\xd8" + b"\xff" * 8_000_000,
        lambda: b"\xff\xd8\xff\xda\0\2" + b"\xff\0" * 4_000_000,
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 2_000_000,
        lambda: png(5, 5)[:33] + (b"\0\0\0\0aaaa" + b"\0" * 4) * 700_000,
        lambda: b"GIF89a" + b"\1\0\1\0\0\0\0" + b"\x21\xf9\0" * 2_500_000,
        lambda: b"GIF89a" + b"\1\0\1\0\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0\2\0" * 700_000,
        blocks_of_gif,
        lambda: b"RIFF" + struct.pack("<I", 8_000_004) + b"WEBP" + b"VP8X\x0a\0\0\0" + b"\0" * 8_000_000,
        lambda: b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 256, 4, 1_900_000, 22) + bytes(8_000_000),
    ],
)
def test_files_made_to_cost_time_do_not(make: Callable[[], bytes]) -> None:
    content = make()
    begin = time.process_time()
    look(content)
    assert time.process_time() - begin < 4


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a/../b.jpg", "b.jpg"),
        ("a/b/../../c.jpg", "c.jpg"),
        ("a/.", "a"),
        ("a/", "a"),
        ("..a/b..jpg", "..a/b..jpg"),
        ("...", "..."),
        (".hidden/_x.jpg", ".hidden/_x.jpg"),
        ("12:30.jpg", "12:30.jpg"),
        ("photo:1.jpg", "photo:1.jpg"),
        ("a/s3://b.jpg", "a/s3:/b.jpg"),
        ("été/日 本.jpg", "été/日 本.jpg"),
        ("%2e%2e/a.jpg", "%2e%2e/a.jpg"),
        ("~/a.jpg", "~/a.jpg"),
        ("", ""),
        (".", ""),
        ("a/..", ""),
    ],
)
def test_paths_within_the_crawl(path: str, expected: str) -> None:
    assert resolve(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../a.jpg",
        "a/../../b.jpg",
        "a/../../a/b.jpg",
        "./../a.jpg",
        "/a.jpg",
        "//host/a.jpg",
        "C:\\a.jpg",
        "C:/a.jpg",
        "c:a.jpg",
        "a\\b.jpg",
        "..\\a.jpg",
        "file:///a.jpg",
        "file:/a.jpg",
        "s3://bucket/a.jpg",
        "s3a://bucket/a.jpg",
        "abfss://c@a.dfs/a.jpg",
        "https://example.org/a.jpg",
        "a\0.jpg",
    ],
)
def test_paths_outside_the_crawl(path: str) -> None:
    assert resolve(path) is None


def test_random_paths_against_a_walk() -> None:
    dice = random.Random(13)
    for _ in range(3000):
        steps = [dice.choice(["a", "b", "..", ".", ""]) for _ in range(dice.randrange(1, 8))]
        place: list[str] = []
        outside = steps[0] == "" and len(steps) > 1
        for step in steps:
            if step == "..":
                outside = outside or not place
                place = place[:-1]
            elif step not in ("", "."):
                place.append(step)
        assert resolve("/".join(steps)) == (None if outside else "/".join(place)), steps
