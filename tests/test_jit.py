"""Kernels: compiled or from the cache, they are called alike, and Numba is there only to compile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from linclass_cli import jit, kernel_cache
from linclass_cli.compilation import COMPILATION
from linclass_cli.jit import kernel

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")

Pair = namedtuple("Pair", ["weights", "half"])


def total(x):
    return x.sum()


def weighted(pair, x, flag):
    value = 0.0
    for i in range(x.shape[0]):
        value += pair.weights[i] * x[i] if flag else pair.half
    return value, x.shape[0]


def twice(x):
    return 2 * x


def divide(a, b):
    return a // b


def large(n):
    return np.empty(n).sum()


helped = kernel(inner=True)(divide)


def helping(a, b):
    return helped(a, b) + 1


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture(params=["compiled", "cached"])
def made(request):
    """A function that makes a kernel whose calls are compiled, or come from the cache."""

    def make(function, *arguments):
        if request.param == "cached":
            kernel()(function)(*arguments)
        return kernel()(function)

    return make


def counted(call, *arguments):
    before = COMPILATION.compiled
    return call(*arguments), COMPILATION.compiled - before


def test_every_layout_of_an_array_is_read_right(folder):
    X = np.arange(24.0).reshape(4, 6)
    fixed = X.copy()
    fixed.flags.writeable = False
    odd = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(4, 6)
    arrays = [X, np.asfortranarray(X), X[::2, ::3], X[:, 1:3], fixed, X.astype(np.float32), X[0], X[:1], odd]
    for once in (1, 0):
        call = kernel()(total)
        sums = [counted(call, array) for array in arrays]
        assert [value for value, _ in sums] == [array.sum() for array in arrays]
        # X[::2, ::3] and X[:, 1:3] are alike, and so are X and X[:1]: in the order of C.
        assert sum(compiled for _, compiled in sums) == once * (len(arrays) - 2)


def test_a_file_mapped_to_memory_is_an_array(folder, made):
    path = folder / "numbers"
    path.write_bytes(np.arange(8.0).tobytes())
    call = made(total, np.arange(8.0))
    assert call(np.memmap(path, np.float64, "c")) == 28


def test_tuples_of_arrays_and_scalars(made):
    pair = Pair(np.arange(3, dtype=np.float32), np.float32(0.5))
    x = np.array([1.0, 10.0, 100.0])
    call = made(weighted, pair, x, True)
    assert call(pair, x, True) == (210, 3)
    assert call(pair, x, False) == (1.5, 3)


def test_equal_numbers_of_different_types_are_not_confused(made):
    call = made(divide, 7, 2)
    for a in (7, 7.0, np.float32(7), np.int64(7), True):
        assert call(a, 2) == a // 2


def test_what_a_kernel_raises_is_raised(made):
    with pytest.raises(ZeroDivisionError):
        made(divide, 7, 2)(7, 0)
    with pytest.raises(MemoryError):
        made(large, 10)(2**48)


def test_a_wrong_number_of_arguments_is_an_error(made):
    call = made(divide, 7, 2)
    with pytest.raises(TypeError):
        call(7)


def test_a_kernel_in_a_kernel(made):
    call = made(helping, 7, 2)
    assert call(7, 2) == 4
    with pytest.raises(ZeroDivisionError):
        call(7, 0)


def test_a_kernel_that_returns_an_array_is_compiled_in_every_process():
    for _ in range(2):
        value, compiled = counted(kernel()(twice), np.ones(3))
        assert (list(value), compiled) == ([2, 2, 2], 1)


def test_threads_that_call_for_the_first_time_compile_once():
    call = kernel()(total)
    before = COMPILATION.compiled
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, [np.ones(5)] * 8)) == [5] * 8
    assert COMPILATION.compiled - before == 1


@pytest.mark.parametrize("error", [ImportError, AttributeError, KeyError, RuntimeError])
def test_code_that_cannot_be_linked_is_compiled_again(monkeypatch, error):
    def refuse(function, code):
        raise error

    assert counted(kernel()(divide), 7, 2) == (3, 1)
    monkeypatch.setattr(jit, "link", refuse)
    assert counted(kernel()(divide), 7, 2) == (3, 1)


SCRIPT = """
import sys
import numpy as np
from linclass_cli.learn.scaling import fit_scaling
X = np.ones((3, 2), np.float32)
print(fit_scaling("standard", X, np.arange(3)).mean, "numba" in sys.modules)
"""


def test_numba_is_loaded_only_to_compile(tmp_path):
    said = []
    for _ in range(2):
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
        environment.pop("NUMBA_CACHE_DIR", None)
        said.append(
            subprocess.run(
                [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
            )
        )
    assert [process.stdout for process in said] == ["[1. 1.] True\n", "[1. 1.] False\n"]
    assert [process.stderr for process in said] == ["", ""]


TO_THE_LAST_BIT = """
import hashlib, sys
import numpy as np
from linclass_cli.features.patches_kernels import pool_responses
rng = np.random.default_rng(0)
S, high = rng.normal(size=(2 * 28 * 28, 50)).astype(np.float32), rng.normal(size=50).astype(np.float32)
out = np.zeros((2, 4, 2, 50), np.float32)
pool_responses(S, 2, 28, 28, 0, 28, 2, high, high - 1, 0, out)
print(hashlib.sha256(out.tobytes()).hexdigest(), "numba" in sys.modules)
"""


def test_the_process_that_compiles_has_the_numbers_of_those_that_load(tmp_path):
    """A kernel whose inner kernel adds in any order: two copies of that may do it in two."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", TO_THE_LAST_BIT]
    said = [subprocess.run(command, env=environment, capture_output=True, text=True).stdout for _ in range(2)]
    (first, compiled), (second, loaded) = (text.split() for text in said)
    assert (compiled, loaded) == ("True", "False")
    assert first == second


def assign(x, y):
    x[:, :2] = y


def test_arrays_that_do_not_fit_are_an_error(made):
    x, y = np.zeros((3, 4)), np.ones((3, 2))
    call = made(assign, x, y)
    call(x, y)
    assert x.sum() == 6
    with pytest.raises(ValueError, match="another shape"):
        call(x, y[:2])
