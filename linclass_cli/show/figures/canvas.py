"""What all figures share: two themes, the header, colours for every eye, the files' bytes."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

THEMES = ("light", "dark")
SIZE = (7.0, 4.8)  # inches
DPI = 150
FONT = 11
HEADER = 0.62  # inches over the axes, for what is shown and of what
_MARGIN = 0.12  # inches
# Okabe and Ito (2008), distinguishable with every kind of colour vision; on dark, the brighter half first.
_COLORS = {
    "light": ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"),
    "dark": ("#56B4E9", "#E69F00", "#1DB68A", "#E08FBC", "#F0E442", "#FF7A33", "#E8E8E8"),
}
_PAPER = {"light": "#FFFFFF", "dark": "#14171C"}
_INK = {"light": "#1A1A1A", "dark": "#E8E8E8"}
_MUTED = {"light": "#5F6368", "dark": "#9AA0A8"}
# Fonts with the letters that matplotlib's own has not; those that are installed are asked in this order.
_FALLBACKS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei", "Noto Sans"),
    *("Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Symbola"),
)


@contextlib.contextmanager
def themed(theme: str) -> Iterator[None]:
    """Figures that are made and rendered inside have the theme's colours, whatever matplotlibrc says."""
    from cycler import cycler

    ink, paper, muted = _INK[theme], _PAPER[theme], _MUTED[theme]
    with rc_context(), warnings.catch_warnings():
        # A letter that no font has is drawn as a box; a line on stderr for each would help nobody.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        rcdefaults()
        rcParams.update(
            {
                "font.family": ["DejaVu Sans", *_installed_fallbacks()],
                "font.size": FONT,
                # Names are names: a dollar in one is no formula.
                "text.parse_math": False,
                "svg.hashsalt": "linclass",
                "figure.facecolor": paper,
                "axes.facecolor": paper,
                "text.color": ink,
                "axes.labelcolor": ink,
                "axes.edgecolor": muted,
                "axes.labelsize": FONT,
                "axes.prop_cycle": cycler(color=_COLORS[theme]),
                "axes.spines.top": False,
                "axes.spines.right": False,
                "xtick.color": muted,
                "ytick.color": muted,
                "xtick.labelcolor": ink,
                "ytick.labelcolor": ink,
                "xtick.labelsize": FONT - 1,
                "ytick.labelsize": FONT - 1,
                "grid.color": muted,
                "grid.alpha": 0.25,
                "legend.fontsize": FONT - 1.5,
                "legend.framealpha": 0.85,
                "legend.edgecolor": "none",
                "legend.facecolor": paper,
            }
        )
        yield


@cache
def _installed_fallbacks() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _FALLBACKS if name in there)


def render(figure: Figure, file_format: str) -> bytes:
    """The bytes of a png, svg or pdf file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    stamp = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    figure.savefig(buffer, format=file_format, dpi=DPI, metadata=stamp)
    return buffer.getvalue()


def blank(title: str, about: str, size: tuple[float, float] = SIZE) -> Figure:
    """An empty figure of ``size`` inches with its header: what it shows, and, smaller, of what."""
    width, height = size
    figure = Figure(figsize=size, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - HEADER / height), w_pad=_MARGIN, h_pad=0.08)
    room = (width - 2 * _MARGIN) * 72
    for text, font, y, color in ((title, FONT + 2, 0.13, ink()), (about, FONT - 1, 0.38, muted())):
        shown = label(text, int(room / (0.56 * font)))
        weight = "bold" if text is title else "normal"
        figure.text(
            _MARGIN / width, 1 - y / height, shown, size=font, color=color, weight=weight, va="top"
        )  # fmt: skip
    return figure


def canvas(title: str, about: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Any]:
    """A figure with its header and one pair of axes with a grid."""
    figure = blank(title, about, size)
    axes = figure.add_subplot()
    axes.grid(True)
    return figure, axes


def colors(count: int) -> list[str]:
    """The first ``count`` colours of the theme; they repeat when there are more."""
    known = rcParams["axes.prop_cycle"].by_key()["color"]
    return [known[i % len(known)] for i in range(count)]


def ink() -> str:
    return str(rcParams["text.color"])


def paper() -> str:
    return str(rcParams["axes.facecolor"])


def muted() -> str:
    return str(rcParams["xtick.color"])


def is_dark() -> bool:
    return luminance(paper()) < 0.5


def luminance(color: Any) -> float:
    """How bright a colour looks, 0 to 1 (the weights of Rec. 709)."""
    red, green, blue = to_rgb(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def rgb(color: Any) -> tuple[int, int, int]:
    """A colour's channels from 0 to 255."""
    red, green, blue = (round(255 * part) for part in to_rgb(color))
    return red, green, blue


def shades() -> Colormap:
    """From the paper to the theme's strongest blue: for shares from none to all."""
    stops = (
        (paper(), "#1F4E79", "#56B4E9", "#D6EEFB")
        if is_dark()
        else (paper(), "#A6CEE8", "#2F8AC4", "#08386B")
    )
    return LinearSegmentedColormap.from_list("shades", stops)


def ramp(count: int) -> list[Any]:
    """``count`` colours in an order that can be seen, each readable on the paper."""
    low, high = (0.2, 1.0) if is_dark() else (0.0, 0.92)
    return [colormaps["viridis"](low + (high - low) * i / max(1, count - 1)) for i in range(count)]


def label(text: str, most: int = 20) -> str:
    """A name as it can stand in a picture: no line breaks or control characters, at most ``most`` letters."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in text)
    return shown if len(shown) <= most else shown[: max(1, most - 1)] + "…"


def strength(value: float) -> str:
    """A strength of l2, short: 0.001, 3.16e-05."""
    return f"{value:.3g}"
