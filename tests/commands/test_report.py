"""``linclass report``: one page that needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from linclass_cli.evidence import Evidence
from linclass_cli.runs import load_run
from linclass_cli.show.report import make_report
from tests.commands.test_line import FAST
from tests.tiers import slow

VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """The tags of a page, each closed in its order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture
def one_run(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    return linclass


def test_a_page_has_everything_and_loads_nothing(one_run):
    one_run("cv", *FAST, "--folds", "2", "--l2", "0.01,0.1", "--name", "b", "--loss", "ridge")
    answer = one_run("report", "a", "b", "--json").json
    assert answer == {"runs": ["a", "b"], "files": ["cache/runs/a/report-a-b.html"]}
    text = Path(answer["files"][0]).read_text(encoding="utf-8")
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "srcset"}:
                assert value.startswith("data:image/png;base64,")
            if name == "href":
                assert value.startswith("data:image/png;base64," if tag == "image" else "#")
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+|http-equiv", "", text)
    assert not re.search(r"url\((?!#)", text)
    figures = [attributes["class"] for tag, attributes in page.tags if tag == "figure" and attributes]
    own = ["confusion", "weights", "calibration"]
    assert figures == ["compare", "accuracy", "loss", *own, "cv", *own]
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == len(figures)
    assert re.search(r"predicted <b class=wrong>\w+</b> \+?[\d.]+(?:\u00a0%)?</figcaption>", text)
    for word in (
        "feature.pixels_per_cell",
        "model.l2",
        "test accuracy",
        "95 %:",
        "predicted",
        "recall",
        "brick",
    ):
        assert word in page.text
    accuracy = one_run("evaluate", "a", "--json").json["accuracy"]
    assert f"{100 * accuracy:.2f}\u00a0%" in page.text


@slow
def test_a_figure_that_is_too_large_as_an_svg_is_two_pictures(one_run, monkeypatch):
    monkeypatch.setattr("linclass_cli.show.report._LARGE", 1000)
    (path,) = one_run("report", "a").out.split()
    page = Page(Path(path).read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert "svg" not in tags
    assert tags.count("source") == tags.count("picture") == 5


@slow
def test_the_page_is_where_it_is_wanted_and_the_same_again(one_run):
    (path,) = one_run("report", "a").out.split()
    assert path == "cache/runs/a/report.html"
    Path("folder").mkdir()
    (again,) = one_run("report", "a", "--out", "folder").out.split()
    assert again == "folder/report.html"
    assert Path(path).read_bytes() == Path(again).read_bytes()
    assert one_run("report", "nobody").code == 4
    Path("file").write_text("")
    assert one_run("report", "a", "--out", "file/page.html").code == 6


def test_what_is_gone_is_said_and_the_rest_is_there(one_run, tmp_path):
    def gone(run):
        from linclass_cli.errors import MissingError

        raise MissingError("<the dataset> is gone")

    said: list[str] = []
    page = Page(make_report([Evidence(load_run(tmp_path / "cache", "a"), gone)], said.append))
    assert "no confusion: <the dataset> is gone" in page.text
    assert "accuracy" in [attributes.get("class") for tag, attributes in page.tags if tag == "figure"]
    assert len(said) == 4


def test_names_cannot_leave_their_place(one_run, tmp_path):
    evil = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>"
    run = load_run(tmp_path / "cache", "a")
    run.config["data"]["name"] = evil
    run.config["feature"][evil] = evil
    run.metrics[evil] = [evil]

    def score(_):
        from dataclasses import replace

        from linclass_cli.scoring import score_run

        scored = score_run("cache", "a", lambda *_: None, lambda *_: None)
        classes = (evil, "</style>", "&lt;b&gt;", "a\x00\x1b[2J", "日本", "\ud800")
        return replace(scored, model=replace(scored.model, classes=classes))

    text = make_report([Evidence(run, score)], lambda _: None)
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert "</style>" in page.text
    assert "&lt;b&gt;" in page.text
    assert "\x00" not in text
    assert "\x1b" not in text
