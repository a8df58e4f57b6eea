"""Kept inputs, and some new ones, for each of the parsers of our own; `tests.faults.fuzz` runs any number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.fuzz.check import Found, check
from tests.faults.fuzz.corpus import corpus_of
from tests.faults.fuzz.targets import TARGETS, Target
from tests.faults.tally import tried
from tests.tiers import slow


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_taken(name):
    target = TARGETS[name]()
    assert all(check(target, content) for content in target.seeds)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_are_kept(name):
    target, kept = TARGETS[name](), corpus_of(name)
    for content in kept:
        check(target, content)
    tried("mutated input of a parser", len(kept))
    assert kept


@slow
@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs(name):
    target, tally = TARGETS[name](), {True: 0, False: 0}
    known = target.seeds + corpus_of(name)

    @settings(max_examples=50 * settings().max_examples)
    @given(st.sampled_from(known), st.randoms(use_true_random=False))
    def try_one(content, rng):
        tally[check(target, target.change(rng, content, known))] += 1

    try_one()
    assert tally[True] > 0
    assert tally[False] > 0 or name == "png"  # which leaves to Pillow what it does not know
    tried("mutated input of a parser", sum(tally.values()))


def test_a_bug_is_found():
    def bug(content: bytes) -> str:
        return str(1 // (len(content) % 7))

    with pytest.raises(Found, match="ZeroDivisionError") as caught:
        check(Target([], bug), b"seventh")
    assert caught.value.content == b"seventh"
