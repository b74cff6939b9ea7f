"""How all figures that are drawn with matplotlib look.

No global state of matplotlib is touched: figures are objects, and settings hold while one is made or saved. Colours are
those of Okabe and Ito (2008), which colour-blind people tell apart; nothing is told by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, FAINT, BAND, BLANK = "#1c1b18", "#5f5b52", "#f4f2ec", "#e4e1d8"
WIDTH = 10.0  # inches
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")
_LOOKS = [(BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (PURPLE, "D"), ("#8a6d00", "v"), (INK, "P")]
_DPI = 150
# DejaVu has no Chinese, Japanese and Korean; of these a machine has one or none.
_EAST_ASIAN = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS", "Microsoft YaHei", "SimHei",
)  # fmt: skip
_SETTINGS: Any = {
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a category may be called $
    "axes.edgecolor": BLANK,
    "axes.labelcolor": FAINT,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": BLANK,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "svg.fonttype": "path",  # the same everywhere
    "svg.hashsalt": "profilelake",
    "pdf.fonttype": 42,
}


@contextmanager
def settings() -> Iterator[None]:
    """The style, for as long as a block makes a figure."""
    with matplotlib.rc_context({**_SETTINGS, "font.family": _fonts()}):
        yield


@cache
def _fonts() -> list[str]:
    there = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _EAST_ASIAN if name in there)]


def save(drawn: Figure, format: str) -> bytes:
    """The drawing as `svg`, `pdf` or `png`; without a date, so the same for the same drawing."""
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    out = io.BytesIO()
    with settings():
        drawn.savefig(out, format=format, dpi=_DPI, facecolor="white", metadata=undated[format])
    return _in_few_colours(out) if format == "png" else out.getvalue()


def _in_few_colours(png: io.BytesIO) -> bytes:
    """A third of the bytes, in 256 colours that nobody tells from the true ones."""
    few = Image.open(png).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True, dpi=(_DPI, _DPI))
    return out.getvalue()


def titled_page(title: str, height: float, caption: str, width: float = WIDTH) -> Figure:
    """An empty figure with its title above, and its caption below; sizes in inches."""
    made = Figure(figsize=(width, height), layout="constrained")
    made.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
    made.supxlabel(caption, x=0.012, ha="left", fontsize=8, color=FAINT, linespacing=1.5)
    return made


def empty_page(title: str, reasons: Sequence[str]) -> Figure:
    """A figure that says why there is nothing to show."""
    made = Figure(figsize=(WIDTH, 1.3))
    made.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
    made.text(0.012, 0.25, "Nothing to show: " + ("; ".join(reasons) or "it was not measured"), color=FAINT)
    return made


def look_of(place: int) -> tuple[str, str]:
    """Colour and marker of the n-th of several things, from 0."""
    return _LOOKS[place % len(_LOOKS)]


def short(text: str | None, most: int = 30) -> str:
    """A text cut to so many characters."""
    text = text or ""
    return text if len(text) <= most else text[: most - 1] + "…"


def bands(axes: Axes, count: int) -> None:
    """Every other row tinted, the first row on top, a faint grid."""
    for row in range(0, count, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.set_ylim(count - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
