"""One page that says everything about some runs: HTML that needs nothing but itself."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from linclass_cli import __version__
from linclass_cli.errors import LinclassError
from linclass_cli.evidence import Evidence, Mistake
from linclass_cli.run_table import flat
from linclass_cli.runs import Run
from linclass_cli.show.figures.canvas import THEMES, label, render, themed
from linclass_cli.show.figures.curves import about
from linclass_cli.show.figures.mistakes import MOST, pixels_of
from linclass_cli.show.inline_svg import inline_svg, theme_style
from linclass_cli.show.plots import Drawing, Notice, applies, plan_drawings
from linclass_cli.show.report_style import STYLE
from linclass_cli.show.tables import percent, seconds

# Nothing may be loaded, nothing run, nothing sent: not even if a name could slip out of its quotes.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_ITEMS = 12  # of a list, in a table of settings
_OPEN = 30  # rows of a table that is shown at once
_LARGE = 1 << 20  # characters of an SVG, from which on two PNGs are taken: glyphs of many classes
_ALT = {
    "accuracy": "accuracy against steps",
    "loss": "loss against steps",
    "curves": "every fold's accuracy against steps",
    "cv": "accuracy against l2",
    "compare": "test accuracies with their intervals",
    "confusion": "which classes are taken for which",
    "weights": "what each class looks for",
    "filters": "the filters of its dictionary",
    "calibration": "confidence against accuracy",
}


def make_report(evidence: Sequence[Evidence], notice: Notice) -> str:
    """The page of the runs: numbers, figures for light and for dark, the gallery, settings.

    What cannot be made any more (the dataset is gone) is said there and to ``notice``. Whatever comes from
    outside, names of runs, classes and settings, is escaped.
    """
    title = "linclass: " + ", ".join(one.run.id for one in evidence[:4]) + ("…" if len(evidence) > 4 else "")
    nav = together = ""
    if len(evidence) > 1:
        names = [escape(label(one.run.id, 30)) for one in evidence]
        links = "".join(f'<a href="#run-{i}">{name}</a>' for i, name in enumerate(names))
        nav = f"<nav>{links}</nav>"
        together = _together(evidence, notice)
    sections = "".join(
        f'<section id="run-{i}">{_section(one, len(evidence) > 1, notice)}</section>'
        for i, one in enumerate(evidence)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<meta name="color-scheme" content="light dark">
<title>{escape(label(title, 100))}</title>
<style>{STYLE}{theme_style(together + sections)}</style>
</head>
<body>
<header><p>linclass report</p>{nav}</header>
<main>
{together}{sections}
</main>
<footer>made by linclass {escape(__version__)}</footer>
</body>
</html>
"""


def _together(evidence: Sequence[Evidence], notice: Notice) -> str:
    runs = [one.run for one in evidence]
    columns = ["run", "features", "loss", "solver", "validation", "test", "time"]
    rows = []
    for run in runs:
        m = run.metrics
        val = max(m["mean_accuracy"]) if run.kind == "cv" else m["val_accuracy"]
        of = f"{run.config['feature']['name']} of {run.config['data']['name']}"
        test = percent(m["test_accuracy"])
        rows.append([run.id, of, m["loss"], m["solver"], percent(val), test, seconds(m["seconds"])])
    drawings = [one for one in plan_drawings(evidence, "all") if len(one.runs) > 1]
    figures = "".join(_figure(drawing, notice) for drawing in drawings)
    return f"<section><h1>{len(runs)} runs compared</h1>{_table(columns, rows)}{figures}</section>"


def _section(one: Evidence, several: bool, notice: Notice) -> str:
    run = one.run
    heading = f"<h1>{escape(label(run.id, 100))}</h1><p class=about>{escape(about([run]))}</p>"
    figures = "".join(
        _figure(drawing, notice) for drawing in plan_drawings([one], "all") if drawing.name != "mistakes"
    )
    return (
        f"{heading}{_numbers(one)}{figures}{_gallery(one, notice)}{_classes(one)}"
        f"{_details('Settings', _facts(flat(run.config)), not several)}"
        f"{_details('All numbers of the record', _facts(flat(run.metrics)))}"
        f"{_details('Where it was made', _facts(flat(run.environment) | {'created': run.created}))}"
    )


def _numbers(one: Evidence) -> str:
    """The few numbers that matter, large."""
    m = one.run.metrics
    shown = {"test accuracy": (percent(m["test_accuracy"]), f"{m['n_test']:,} images")}
    if one.run.kind == "cv":
        shown["mean of the folds"] = (percent(max(m["mean_accuracy"])), f"best l2 {m['best_l2']:.3g}")
    elif m["val_accuracy"] is not None:
        shown["validation accuracy"] = (percent(m["val_accuracy"]), f"{m['n_val']:,} images")
    shown["training accuracy"] = (percent(m["train_accuracy"]), f"{m['n_train']:,} images")
    try:
        numbers = one.numbers
    except LinclassError:
        numbers = {}
    if numbers:
        low, high = numbers["accuracy_interval"]
        shown["test accuracy"] = (percent(numbers["accuracy"]), f"95 %: {100 * low:.2f} to {100 * high:.2f}")
        if len(numbers["classes"]) > 5:
            shown["among the first five"] = (percent(numbers["top5_accuracy"]), "")
        if numbers["log_loss"] is not None:
            shown["log loss"] = (f"{numbers['log_loss']:.4f}", "nats an image")
            shown["calibration error"] = (f"{numbers['ece']:.4f}", f"{numbers['ece_bins']} bins")
    shown["time"] = (seconds(m["seconds"]), "for the fits")
    cards = (
        f"<div><dt>{escape(name)}</dt><dd>{_whole(value)}<small>{escape(more)}</small></dd></div>"
        for name, (value, more) in shown.items()
    )
    return f"<dl class=numbers>{''.join(cards)}</dl>"


def _figure(drawing: Drawing, notice: Notice) -> str:
    """A figure for light and for dark, inside the page; or why there is none."""
    kind = drawing.name.partition("-")[0]
    alt = escape(f"{', '.join(run.id for run in drawing.runs)}: {_ALT.get(kind, kind)}")
    try:
        svg = inline_svg(_drawn(drawing, "light", "svg"), _drawn(drawing, "dark", "svg"), alt)
        if svg is None or len(svg) > _LARGE:
            light, dark = (_uri(_drawn(drawing, theme, "png"), "image/png") for theme in THEMES)
            source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            svg = f'<picture>{source}<img src="{light}" alt="{alt}"></picture>'
    except LinclassError as error:
        notice(f"no {drawing.name} of {drawing.runs[0].id}: {error}")
        return f"<p class=missing>no {escape(drawing.name)}: {escape(str(error))}</p>"
    return f'<figure class="{escape(kind)}">{svg}</figure>'


def _drawn(drawing: Drawing, theme: str, file_format: str) -> bytes:
    with themed(theme):
        return render(drawing.draw(), file_format)


def _gallery(one: Evidence, notice: Notice) -> str:
    if not applies("mistakes", one.run):
        return ""
    try:
        mistakes = one.mistakes(MOST)
    except LinclassError as error:
        notice(f"no mistakes of {one.run.id}: {error}")
        return f"<p class=missing>no gallery: {escape(str(error))}</p>"
    sure = "its probability" if one.has_probabilities else "how far its score is ahead"
    text = f"on the test images; behind each answer, {sure}"
    pictures = "".join(_picture(mistake) for mistake in mistakes)
    return f"<h2>The most confident mistakes</h2><p class=about>{text}</p><div class=gallery>{pictures}</div>"


def _picture(one: Mistake) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels_of(one.image)).save(buffer, "png")
    what = f"test image {one.index}"
    return (
        f'<figure><img src="{_uri(buffer.getvalue(), "image/png")}" alt="{what}" title="{what}">'
        f"<figcaption>true <b>{escape(label(one.true, 60))}</b><br>"
        f"predicted <b class=wrong>{escape(label(one.predicted, 60))}</b> {_whole(one.sure)}"
        "</figcaption></figure>"
    )


def _classes(one: Evidence) -> str:
    try:
        rows = one.numbers["per_class"]
    except LinclassError:
        return ""
    keys = ("precision", "recall", "f1")
    cells = [[row["class"], *(f"{row[key]:.4f}" for key in keys), f"{row['support']:,}"] for row in rows]
    table = _table(["class", "precision", "recall", "F1", "images"], cells)
    return _details("Each class", table, len(rows) <= _OPEN)


def _details(title: str, inner: str, shown: bool = False) -> str:
    return f"<details{' open' if shown else ''}><summary>{escape(title)}</summary>{inner}</details>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_whole(label(_text(cell), 200))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _facts(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(label(name, 100))}</th><td>{escape(label(_text(value), 200))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<div class=wide><table class=facts><tbody>{rows}</tbody></table></div>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        shown = ", ".join(_text(item) for item in value[:_ITEMS])
        return shown + (f", … ({len(value)})" if len(value) > _ITEMS else "")
    return str(value)


def _whole(text: str) -> str:
    """Escaped, and a number and its unit are on one line, however narrow the page."""
    return re.sub(r"(?<=\d) (?=(?:%|s)$)", "\u00a0", escape(text))


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def report_name(runs: Sequence[Run]) -> str:
    """The file's name where none is given."""
    from linclass_cli.show.plots import suffix

    return f"report{suffix(runs) if len(runs) > 1 else ''}.html"
