"""What a benchmark found: entries in groups, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measure import THREADS, Samples, Timing, hardware, summarise, versions

UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}


@dataclass
class Entry:
    """One line. ``per``: by how much the measured seconds are divided (images, passes)."""

    name: str
    timing: Timing | None = None
    prepared: float | None = None
    first: float | None = None
    objective: float | None = None
    excess: float | None = None  # relative, over the best known optimum
    reached: bool | None = None  # within the target; None where that is not asked
    difference: float | None = None  # the largest from the reference
    accuracy: float | None = None
    ratio: float | None = None  # its median over linclass's
    settings: dict[str, Any] = field(default_factory=dict)
    remark: str = ""  # what it says of itself
    error: str | None = None
    note: str = ""
    ours: bool = False

    def measured(self, samples: Samples, per: float = 1.0) -> None:
        """Take over what the turns took."""
        self.timing = summarise([s / per for s in samples.seconds])
        self.error = self.error or samples.error


@dataclass
class Group:
    """Entries that are compared with each other; ``base``: the linclass entry that ratios refer to."""

    title: str
    unit: str = "s"
    entries: list[Entry] = field(default_factory=list)
    base: str | None = None
    ratio: str = "peer/linclass"  # what the ratio's column is called
    facts: dict[str, Any] = field(default_factory=dict)

    def compare(self) -> None:
        """Choose the fastest linclass entry that reached the target, and give every entry its ratio to it.

        Without one there are no ratios.
        """
        ours = [e for e in self.entries if e.ours and e.timing and e.error is None]
        good = [e for e in ours if e.reached is not False]
        if not good:
            return
        best = min(good, key=lambda e: e.timing.median if e.timing else float("inf"))
        self.base = best.name
        for entry in self.entries:
            if entry.timing and best.timing:
                entry.ratio = entry.timing.median / best.timing.median


@dataclass
class Report:
    """All of one benchmark."""

    benchmark: str
    data: str
    quick: bool
    rounds: int
    groups: list[Group] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, group: Group) -> None:
        """Keep a group, and show it at once, on stderr: a long run may be stopped."""
        self.groups.append(group)
        print("\n".join(["", *_table(group), ""]), file=sys.stderr, flush=True)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with hardware, versions and threads."""
        about = {"threads": THREADS, "hardware": hardware(), "versions": versions()}
        return {**about, **asdict(self)}

    def as_json(self) -> str:
        return json.dumps(self.as_dict(), default=float)

    def as_text(self) -> str:
        """The tables."""
        machine = hardware()
        there = ", ".join(f"{name} {v}" for name, v in versions().items() if v)
        absent = ", ".join(name for name, v in versions().items() if not v)
        lines = [
            f"benchmark {self.benchmark}{' (quick: small sizes, no final figures)' if self.quick else ''}",
            f"data: {self.data}",
            f"on: {machine['processor']}, {machine['cores']} cores, {machine['vector']}, "
            f"{machine['memory_gb']} GB; load before {machine['load_average']}; {THREADS} threads",
            f"with: {there}",
        ]
        lines += [f"not installed: {absent}"] if absent else []
        for group in self.groups:
            lines += ["", *_table(group)]
        lines += [""] + [f"note: {text}" for text in self.notes]
        return "\n".join(lines).rstrip()


def _table(group: Group) -> list[str]:
    scale = UNITS[group.unit]
    head = ["", f"median {group.unit}", "min–max", "n", group.ratio, "first s", "objective", "excess"]
    head += ["difference", "accuracy", "remarks"]
    rows = [head]
    for e in group.entries:
        t = e.timing
        mark = "" if e.reached is not False else "did not reach"
        settings = " ".join(
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in e.settings.items()
        )
        remarks = "; ".join(part for part in (mark, settings, e.remark, e.note, e.error or "") if part)
        rows.append(
            [
                ("* " if e.name == group.base else "  ") + e.name,
                f"{t.median * scale:.4g}" if t else "–",
                f"{t.low * scale:.4g}–{t.high * scale:.4g}" if t else "",
                str(t.n) if t else "",
                f"{e.ratio:.2f}" if e.ratio else "",
                f"{e.first:.3g}" if e.first is not None else "",
                f"{e.objective:.8f}" if e.objective is not None else "",
                f"{e.excess:.1e}" if e.excess is not None else "",
                f"{e.difference:.1e}" if e.difference is not None else "",
                f"{e.accuracy:.2%}" if e.accuracy is not None else "",
                remarks,
            ]
        )
    used = [i for i in range(len(head)) if i == 0 or any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in used}
    lines = [group.title]
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i in (0, 10) else row[i].rjust(widths[i]) for i in used]
        lines.append("  ".join(cells).rstrip())
    for name, value in group.facts.items():
        lines.append(f"  {name}: {value:.6g}" if isinstance(value, float) else f"  {name}: {value}")
    return lines
