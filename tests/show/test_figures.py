"""Figures say what the numbers say, for few classes and many, and whatever the classes are called."""

from __future__ import annotations

import io
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from linclass_cli.errors import InputError
from linclass_cli.evidence import Mistake, Part
from linclass_cli.features import make_extractor
from linclass_cli.learn.metrics import calibration
from linclass_cli.show.figures.calibration import calibration_figure
from linclass_cli.show.figures.canvas import (
    THEMES,
    colors,
    contrast,
    ink,
    label,
    muted,
    paper,
    ramp,
    readable_on,
    render,
    themed,
    wrong,
)
from linclass_cli.show.figures.confusion import confusion_figure
from linclass_cli.show.figures.filters import filters_figure, filters_in_blocks, visible
from linclass_cli.show.figures.mistakes import mistakes_figure
from linclass_cli.show.figures.weights import cell_weights, weights_figure

HOSTILE = ["$\\frac", "<script>alert(1)</script>", "a\nb\x1b[31m", "日本語", "x" * 300, "\u202eevil"]


# What people see who lack a kind of cone: Machado, Oliveira and Fernandes (2009), severity 1, linear RGB.
VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(color, kind):
    """The colour as it looks to such eyes, in CIELAB."""
    rgb = np.array(to_rgb(color))
    linear = np.clip(
        VISION[kind] @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1
    )
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("theme", THEMES)
def test_colours_stand_out_from_the_paper(theme):
    with themed(theme):
        assert all(contrast(color, paper()) >= 3 for color in [*colors(7), *ramp(12)])
        assert all(contrast(color, paper()) >= 4.5 for color in (ink(), muted(), wrong()))
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the well-known grey


@pytest.mark.parametrize("kind", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_differ_for_every_colour_vision(theme, kind):
    with themed(theme):
        seen = [lab(color, kind) for color in colors(7)]
        steps = [lab(color, kind) for color in ramp(9)]
    assert min(deltaE_ciede2000(one, other) for one, other in combinations(seen, 2)) > 11
    assert deltaE_ciede2000(seen[0], seen[1]) > 40  # the two that most figures have
    assert min(deltaE_ciede2000(one, other) for one, other in pairwise(steps)) > 4


def test_numbers_are_black_or_white():
    assert (readable_on("#FFFFFF"), readable_on("#08386B")) == ("#010101", "#FFFFFF")
    assert all(contrast(readable_on(str(grey)), str(grey)) >= 4.5 for grey in np.linspace(0, 1, 101))


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("theme", THEMES)
def test_confusion_has_the_shares_of_each_row_in_percent(theme):
    counts = np.array([[90, 10, 0], [1, 299, 0], [0, 0, 0]])
    with themed(theme):
        figure = confusion_figure(counts, ["a", "b", "c"], "run1", "what")
        shown = {(t.get_position()): t.get_text() for t in figure.axes[0].texts}
        # (column, row); nothing where there is no image.
        assert shown == {(0, 0): "90", (1, 0): "10", (0, 1): "<1", (1, 1): "100"}
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
        (picture,) = figure.axes[0].get_images()
        assert picture.get_array().tolist() == [[0.9, 0.1, 0], [1 / 300, 299 / 300, 0], [0, 0, 0]]
        assert render(figure, "png").startswith(b"\x89PNG")


def test_numbers_stand_in_the_cells_up_to_twenty_classes_and_differ_from_their_ground():
    rng = np.random.default_rng(0)
    for k, numbers in ((20, True), (21, False), (130, False)):
        counts = rng.integers(1, 50, (k, k))
        for theme in THEMES:
            with themed(theme):
                figure = confusion_figure(counts, [f"class {i}" for i in range(k)], "t", "a")
                assert bool(figure.axes[0].texts) == numbers
                picture = figure.axes[0].get_images()[0]
                for text in figure.axes[0].texts:
                    column, row = map(int, text.get_position())
                    ground = picture.cmap(picture.norm(counts[row, column] / counts[row].sum()))
                    assert contrast(ground[:3], text.get_color()) >= 4.5


def test_names_are_shown_as_they_are_and_break_nothing():
    with themed("light"):
        k = len(HOSTILE)
        figure = confusion_figure(np.eye(k, dtype=int), HOSTILE, HOSTILE[0], HOSTILE[2])
        for file_format in ("png", "svg", "pdf"):
            start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[file_format]
            assert render(figure, file_format).startswith(start)
        assert figure.axes[0].get_yticklabels()[0].get_text() == "$\\frac"
        assert b"<script" not in render(figure, "svg")
    assert label("a\nb\x1b[31m") == "a·b·[31m"
    assert label("x" * 30, 5) == "xxxx…"


def test_the_weights_of_a_cell_are_summed_over_its_blocks():
    hog = make_extractor("hog", pixels_per_cell=4, cells_per_block=2, orientations=3)
    shape = (12, 16, 1)  # 3 x 4 cells, 2 x 3 blocks
    weight = np.ones((2, hog.dim(shape)), np.float32)
    cells = cell_weights(weight, shape, hog.params)
    assert cells.shape == (2, 3, 4, 3)
    assert cells[1, :, :, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]
    # The last value: last block, its last cell, last orientation.
    weight[:] = 0
    weight[0, -1] = 5
    cells = cell_weights(weight, shape, hog.params)
    assert (cells.sum(), cells[0, 2, 3, 2]) == (5, 5)


def test_a_glyph_lies_along_the_edges_that_it_stands_for():
    """A picture of stripes, its own weights: the strongest stroke runs along the stripes."""
    hog = make_extractor("hog", pixels_per_cell=8, cells_per_block=1)
    for upright in (True, False):
        stripes = np.zeros((16, 16), np.uint8)
        stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 200
        image = (stripes if upright else stripes.T)[None, :, :, None].copy()
        weight = np.empty((1, hog.dim(image.shape[1:])), np.float32)
        hog(image, weight)
        with themed("light"):
            figure = weights_figure(Part("hog", hog.params, weight, image.shape[1:]), ["a"], "t", "a")
            strokes = figure.axes[0].collections[0]
            widest = strokes.get_segments()[int(np.argmax(strokes.get_linewidths()))]
        dx, dy = np.abs(widest[1] - widest[0])
        assert (dy > 3 * dx) == upright
        assert (dx > 3 * dy) != upright


@pytest.mark.parametrize(
    ("feature", "shape"), [("hog", (24, 24, 1)), ("pixels", (8, 8, 3)), ("hue", (8, 8, 3))]
)
@pytest.mark.parametrize("k", [2, 25])
def test_every_class_has_its_picture(feature, shape, k):
    extractor = make_extractor(feature)
    weight = np.random.default_rng(0).normal(size=(k, extractor.dim(shape))).astype(np.float32)
    with themed("dark"):
        names = [f"class {i}" for i in range(k)]
        figure = weights_figure(Part(feature, extractor.params, weight, shape), names, "t", "a")
        assert [axes.get_title() for axes in figure.axes if axes.get_title()] == names
        image = Image.open(io.BytesIO(render(figure, "png"))).convert("RGB")
    assert len(image.getcolors(1 << 24)) > 50


def test_an_image_of_weights_is_grey_where_they_are_zero():
    weight = np.zeros((1, 12), np.float32)
    weight[0, :3] = (1, -1, 0)
    with themed("light"):
        figure = weights_figure(Part("pixels", {}, weight, (2, 2, 3)), ["a"], "t", "a")
        (picture,) = figure.axes[0].get_images()
    assert np.round(picture.get_array(), 2).tolist()[0] == [[1, 0, 0.5], [0.5, 0.5, 0.5]]


def test_weights_without_a_place_have_no_picture():
    part = Part("vectors", {}, np.ones((2, 5), np.float32), (1, 1, 5))
    with pytest.raises(InputError, match="on vectors have no picture, only those on hog, pixels, hue"):
        weights_figure(part, ["a", "b"], "t", "a")


def test_a_filter_is_drawn_around_grey_in_its_own_range():
    filters = np.zeros((3, 2, 2, 3), np.float32)
    filters[0, 0, 0] = (0.1, -0.2, 0)
    filters[1] = 7
    assert visible(filters)[0, 0, 0].tolist() == pytest.approx([0.75, 0, 0.5])
    assert (visible(filters)[1:].min(axis=(1, 2, 3)).tolist(), visible(filters)[2].max()) == ([1, 0.5], 0.5)
    grey = visible(filters[..., :1])
    assert grey.shape == (3, 2, 2, 3)
    assert grey[0, 0, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("count", "size", "channels", "words"),
    [
        (1, 6, 1, "the only filter, in whitened space"),
        (7, 5, 3, "all 7 filters, those with the largest weights first"),
        (301, 6, 3, "300 of 301 filters, those with"),
        (1600, 64, 4, "300 of 1,600 filters"),
        (2, 1, 2, "all 2 filters"),
    ],
)
def test_filters_lie_in_the_picture_in_their_order(count, size, channels, words, theme):
    filters = np.random.default_rng(0).normal(size=(count, size, size, channels)).astype(np.float32)
    with themed(theme):
        figure = filters_figure(filters, "t", "a")
        assert figure.texts[2].get_text().startswith(words)
        picture = np.asarray(Image.open(io.BytesIO(render(figure, "png"))).convert("RGB"))
        ground = np.round(255 * np.array(to_rgb(paper()))).astype(np.uint8)
    # Whole dots: each filter's pixels are found again, to the level.
    image = figure.axes[0].get_images()[0].get_array()
    top, left = len(picture) - 80 - len(image), 18
    shown = picture[top : top + len(image), left : left + image.shape[1]]
    solid = image[..., 3] == 255
    assert np.array_equal(shown[solid], image[solid][:, :3])
    assert (shown[~solid] == ground).all()
    starts = np.flatnonzero(np.diff(np.append(0, solid[0])) == 1)
    side = int(solid[0].argmin()) if not solid[0].all() else image.shape[1]
    last = min(count, 300) - 1
    for place in {0, min(1, last), last}:
        row, column = divmod(place, len(starts))
        y, x = starts[1] * row if row else 0, starts[column]
        cell = image[y : y + side, x : x + side, :3]
        want = np.round(255 * visible(filters[place : place + 1])[0]).repeat(side // size, 0)
        assert np.array_equal(cell, want.repeat(side // size, 1))


def test_filters_in_characters():
    filters = np.random.default_rng(0).normal(size=(99, 6, 6, 3)).astype(np.float32)
    with themed("dark"):
        rows = filters_in_blocks(filters, 41)
        # 6 filters of 6 columns beside each other, 7 under each other, two pixels a character.
        assert {len(row) for row in rows} == {41}
        assert len(rows) == 24
        top, bottom = np.round(255 * visible(filters)[1, :2, 3])
        assert rows[0][7 + 3] == ("▀", tuple(top), tuple(bottom))
        assert rows[0][6][0] == " "
        large = filters_in_blocks(np.ones((2, 64, 64, 1)), 40)
    assert {len(row) for row in large} == {40}


def test_calibration_shows_the_bins_that_have_images():
    sure = np.array([0.62, 0.65, 0.95, 0.95])
    bins = calibration(sure, np.array([True, False, True, True]), 10)
    with themed("light"):
        figure = calibration_figure(bins, "t", "a")
        bars = [(round(bar.get_x(), 2), bar.get_height()) for bar in figure.axes[0].patches]
        assert bars == [(0.6, 0.5), (0.9, 1.0)]
        assert [bar.get_height() for bar in figure.axes[1].patches] == [50, 50]
        title = figure.axes[0].get_legend().get_title().get_text()
        # 2/4 * |0.5 - 0.635| + 2/4 * |1 - 0.95|
        assert "probability of the predicted class" in figure.axes[1].get_xlabel()
        margins = calibration_figure(bins, "t", "a", probable=False)
        assert "no probability before --calibrate" in margins.axes[1].get_xlabel()
    assert title == "expected calibration error 9.25 %"


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3), (40, 3)])
def test_a_gallery_has_each_image_with_both_classes(count, channels):
    image = np.random.default_rng(0).integers(0, 255, (6, 9, channels), np.uint8)
    mistakes = [Mistake(i, image, HOSTILE[0], HOSTILE[4], "97 %") for i in range(count)]
    with themed("dark"):
        figure = mistakes_figure(mistakes, "t", "a")
        assert sum(len(axes.get_images()) for axes in figure.axes) == min(count, 20)
        lines = [text.get_text() for text in figure.texts[2:4]]
        assert lines == ["true $\\frac", "predicted xxxxxxxxxxx… 97 %"]
        assert render(figure, "png").startswith(b"\x89PNG")
