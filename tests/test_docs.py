"""Docs that are made, or that name what the program has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.commands.every import COMMANDS

ROOT = Path(__file__).parent.parent


def test_the_reference_is_what_help_says():
    made = subprocess.run(
        [sys.executable, "docs/make_cli.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr


def test_the_commands_of_the_docs_are_there():
    """Every line of a shell that docs show: the command and its options exist."""
    shown = 0
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for block in page.read_text().split("```")[1::2]:
            for line in re.findall(r"^(?:\$ )?linclass (.*)", block, flags=re.MULTILINE):
                for part in re.split(r" && linclass | \| ", line.partition(" #")[0]):
                    words = re.match(r"((?:[a-z]+ ?)*)", part)[1].split()
                    names = [tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS]
                    assert names, f"{page.name}: {line}"
                    known = {flag for p in COMMANDS[names[0]].params for flag in (*p.opts, *p.secondary_opts)}
                    assert set(re.findall(r" (--[a-z0-9-]+)", part)) <= known, f"{page.name}: {line}"
                    shown += 1
    assert shown > 15


def test_links_between_the_docs_lead_somewhere():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_what_is_said_to_be_tested_names_tests_that_are_there():
    named = re.findall(r"`(tests/[^`]*)`", (ROOT / "docs/reliability.md").read_text())
    assert len(named) > 4
    assert [name for name in named if not (ROOT / name).exists()] == []
