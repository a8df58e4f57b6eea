"""Fuzzing of the parsers that are linclass's own, guided by the code that an input reaches.

    pip install atheris
    python -m tests.faults.fuzz idx --runs 1000000

`targets` says what is parsed and what must hold of it, `mutate` how an input that is nearly right is
changed, `corpus` which inputs are kept. Whatever raises anything else than an error for users, contradicts
a slow twin, or takes 10 seconds or 2 GiB, is written to ``found-NAME-…`` and ends the program; the same seed
finds it again. The default suite tries what is kept, and a few thousand inputs of each by hypothesis, without
atheris (`test_hostile_fuzz`).
"""
