"""The numbers of ``evaluate``, for people: facts, classes, and who is taken for whom."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from linclass_cli.show.tables import folded, percent, print_facts, print_line, print_table, rows_of

MOST_CONFUSIONS = 10
NAME = 20  # characters of a class's name
_LEAST_P = 1e-12
_HEAD = "true \\ predicted"


def show_evaluation(m: dict[str, Any]) -> None:
    """One run's numbers."""
    print_line(folded("", f"{m['run']} ({m['loss']}) on the {_tested(m)}", "  "))
    low, high = m["accuracy_interval"]
    facts = {"accuracy": f"{percent(m['accuracy'])}  (95 %: {100 * low:.2f} to {percent(high)})"}
    tops = {top: share for top, share in m["top_accuracy"].items() if 1 < int(top) < len(m["classes"])}
    if tops:
        facts["among the first"] = ", ".join(f"{top}: {percent(share)}" for top, share in tops.items())
    facts["balanced accuracy"] = percent(m["balanced_accuracy"])
    facts["macro F1"] = f"{m['macro_f1']:.4f}"
    if m["log_loss"] is not None:
        facts["log loss"] = f"{m['log_loss']:.4f} nats"
        facts["ECE"] = f"{m['ece']:.4f}  ({m['ece_bins']} bins of confidence)"
    facts["probabilities"] = _what_probabilities_are(m)
    print_facts(facts)
    rows = [
        [_name(one["class"]), *(f"{one[key]:.4f}" for key in ("precision", "recall", "f1")), one["support"]]
        for one in m["per_class"]
    ]
    print_table(["class", "precision", "recall", "F1", rows_of(m["feature"])], rows)
    _show_confusion(m["classes"], m["confusion"], m["feature"])


def show_comparison(answer: dict[str, Any]) -> None:
    """Two runs side by side, and the paired test."""
    other, c = answer["other"], answer["comparison"]
    names = answer["run"], other["run"]
    print_line(folded("", f"{names[0]} and {names[1]} on the {_tested(answer)}", "  "))
    rows: list[list[Any]] = []
    shares = {"accuracy": "accuracy"}
    if len(answer["classes"]) > 5:
        shares["among the first 5"] = "top5_accuracy"
    for name, key in shares.items():
        rows.append([name, percent(answer[key]), percent(other[key])])
    for name, key in (("macro F1", "macro_f1"), ("log loss", "log_loss"), ("ECE", "ece")):
        rows.append([name, *(None if m[key] is None else f"{m[key]:.4f}" for m in (answer, other))])
    print_table(["", *names], rows)
    low, high = (100 * end for end in c["difference_interval"])
    print_facts(
        {
            "both right": f"{c['both_right']:,}",
            f"only {names[0]}": f"{c['only_first']:,}",
            f"only {names[1]}": f"{c['only_second']:,}",
            "both wrong": f"{c['both_wrong']:,}",
            "difference": f"{100 * c['difference']:+.2f} points  (95 %: {low:+.2f} to {high:+.2f})",
            "McNemar": f"p {_p_value(c['p_value'])}, exact: {_verdict(c['p_value'])}",
        }
    )


def _tested(m: dict[str, Any]) -> str:
    return f"{m['n']:,} test {rows_of(m['feature'])} of {m['dataset']}"


def _what_probabilities_are(m: dict[str, Any]) -> str:
    if m["calibrated"]:
        return f"calibrated: softmax(scores / {m['temperature']:.4g})"
    if m["log_loss"] is not None:
        return "softmax(scores), not calibrated"
    return "none before --calibrate of `train` or `cv`"


def _verdict(p: float) -> str:
    return "may well be chance" if p > 0.05 else "unlikely to be chance"


def _p_value(p: float) -> str:
    return f"below {_LEAST_P:g}" if p < _LEAST_P else f"{p:.3g}"


def _show_confusion(classes: list[str], confusion: list[list[int]], feature: str) -> None:
    """The whole matrix where the terminal has room for it, else the pairs that are confused most."""
    letters = [chr(ord("a") + i) for i in range(len(classes))] if len(classes) <= 26 else []
    cells = max(len(str(count)) for row in confusion for count in row)
    names = max(len(_HEAD), 2 + max(len(_name(name)) for name in classes))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    if letters and 2 + names + len(classes) * (cells + 2) <= width:
        rows = [
            [f"{letter} {_name(name)}", *(str(count) for count in row)]
            for letter, name, row in zip(letters, classes, confusion, strict=True)
        ]
        print_table([_HEAD, *letters], rows)
        return
    pairs = [
        (count, true, predicted, sum(row))
        for true, row in zip(classes, confusion, strict=True)
        for predicted, count in zip(classes, row, strict=True)
        if true != predicted and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    most = [
        (_name(true), _name(predicted), count, percent(count / total))
        for count, true, predicted, total in pairs[:MOST_CONFUSIONS]
    ]
    if most:
        print_table(["true class", "taken for", rows_of(feature), "of its class"], most)


def _name(name: str) -> str:
    return name if len(name) <= NAME else name[: NAME - 1] + "…"
