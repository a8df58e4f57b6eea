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
# The first two are Okabe and Ito's (2008). Each stands out from its paper, 3 to 1 at least (WCAG 2.2), and
# from all others whatever the colour vision: CIEDE2000 above 11 after Machado et al. (2009). None is quite
# black: matplotlib does not write that into an SVG, and a page could not turn it into another for the dark.
_COLORS = {
    "light": ("#0072B2", "#D55E00", "#00A36C", "#A02850", "#4B2A8C", "#5C3A00", "#0A0A0A"),
    "dark": ("#56B4E9", "#E69F00", "#2E8B57", "#D96BA8", "#FFFFA0", "#C8321E", "#8A63FF"),
}
_BLACK = "#010101"
_PAPER = {"light": "#FFFFFF", "dark": "#14171C"}
_INK = {"light": "#1A1A1A", "dark": "#E8E8E8"}
_MUTED = {"light": "#5F6368", "dark": "#9AA0A8"}
_WRONG = {"light": "#B84A00", "dark": "#FFA552"}
# The part of the map magma, whose colours differ in brightness, that stands out from the paper.
_RAMP = {"light": (0.0, 0.68), "dark": (0.48, 1.0)}
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


def wrong() -> str:
    """The colour of what is wrong, where it is written."""
    return _WRONG[_theme()]


def is_dark() -> bool:
    return _theme() == "dark"


def _theme() -> str:
    return "light" if readable_on(paper()) == _BLACK else "dark"


def readable_on(ground: Any) -> str:
    """Black or white, whichever can be read better on a colour."""
    return max(_BLACK, "#FFFFFF", key=lambda color: contrast(color, ground))


def contrast(one: Any, other: Any) -> float:
    """How far two colours are apart in brightness, 1 to 21 (WCAG 2.2: text wants 4.5, lines want 3)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Any) -> float:
    channels = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


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
    low, high = _RAMP[_theme()]
    return [colormaps["magma"](low + (high - low) * i / max(1, count - 1)) for i in range(count)]


def label(text: str, most: int = 20) -> str:
    """A name as it can stand in a picture: no line breaks or control characters, at most ``most`` letters."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in text)
    return shown if len(shown) <= most else shown[: max(1, most - 1)] + "…"


def strength(value: float) -> str:
    """A strength of l2, short: 0.001, 3.16e-05."""
    return f"{value:.3g}"
