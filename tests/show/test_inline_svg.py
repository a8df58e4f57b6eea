"""One SVG for two themes: each colour of either is in it, and nothing that a page would load or run."""

from __future__ import annotations

import re

import numpy as np
import pytest

from linclass_cli.evidence import Part
from linclass_cli.features import make_extractor
from linclass_cli.learn.metrics import calibration
from linclass_cli.show.figures.calibration import calibration_figure
from linclass_cli.show.figures.canvas import canvas, colors, ramp, render, themed
from linclass_cli.show.figures.confusion import confusion_figure
from linclass_cli.show.figures.weights import weights_figure
from linclass_cli.show.inline_svg import inline_svg, theme_style

COLOUR = re.compile(r": (#[0-9a-f]{6})")
EVIL = ["<b>&amp;", "--><script>alert(1)</script>", "]]>"]


def lines(_):
    figure, axes = canvas("two -- words", "</svg>")
    for number, color in enumerate([*colors(7), *ramp(4)]):
        axes.plot([0, 1], [number, number], "o-", color=color, label=str(number))
    axes.legend()
    return figure


def confusion(_):
    return confusion_figure(np.array([[90, 10, 0], [1, 299, 5], [3, 0, 9]]), EVIL, *EVIL[:2])


def glyphs(rng):
    hog = make_extractor("hog")
    weight = rng.normal(size=(3, hog.dim((24, 24, 1)))).astype(np.float32)
    return weights_figure(Part("hog", hog.params, weight, (24, 24, 1)), EVIL, "t", "a")


def reliability(rng):
    sure = rng.random(50)
    return calibration_figure(calibration(sure, sure > 0.5), "t", "a")


@pytest.mark.parametrize("draw", [lines, confusion, glyphs, reliability])
def test_one_svg_has_the_colours_of_both_themes(draw):
    files = {}
    for theme in ("light", "dark"):
        with themed(theme):
            files[theme] = render(draw(np.random.default_rng(0)), "svg")
    svg = inline_svg(files["light"], files["dark"], "what")
    assert svg is not None
    assert svg.startswith('<svg role="img" aria-label="what" ')
    for place, theme in enumerate(files):
        own = re.sub(r"var\(--([0-9a-f]{6})-([0-9a-f]{6})\)", lambda pair, i=place: f"#{pair[i + 1]}", svg)
        assert COLOUR.findall(own) == COLOUR.findall(files[theme].decode())
        wanted = files[theme].count(b"<image")
        assert len(re.findall(f"<image class={theme} |<image (?!class)", svg)) == wanted
    assert not re.search(r"<!--|<\?|<style|<metadata|http|<script|url\((?!#)", svg)
    assert 2 * len(svg) < len(files["light"]) + len(files["dark"]) or draw is confusion
    for name in re.findall(r'(?:url\(|href=")#([^)"]+)', svg):
        assert f'id="{name}"' in svg
    style = theme_style(f"<div>{svg}</div>")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for one, other in re.findall(r"var\(--([0-9a-f]{6})-([0-9a-f]{6})\)", svg):
        assert f"--{one}-{other}:#{one};" in light
        assert f"--{one}-{other}:#{other};" in dark


def test_figures_of_other_shapes_are_not_one():
    with themed("light"):
        one, other = (render(canvas(title, "a")[0], "svg") for title in ("one", "two"))
    assert inline_svg(one, other, "") is None
    assert theme_style("a page without figures") == ""
