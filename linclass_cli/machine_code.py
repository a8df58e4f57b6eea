"""The machine code of a kernel: as bytes, and as a function of this process.

Numba takes as long to load as a fit, and a compiled kernel can do without it. What LLVM made of a kernel is
an object file; LLVM's own linker (llvmlite) makes a function of it, once it is told where the helpers are
that the code calls: they take arrays out of Python's objects, ask for memory and raise errors. They live in
three C modules of Numba's package, which load without the package and its two hundred Python modules.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import json
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

_names = itertools.count()  # LLVM wants each library to have its own


@dataclass(frozen=True)
class MachineCode:
    """An object file, and the symbols in it that matter.

    ``entry``: the function that Python calls; ``environment``: the variable that points to what belongs to
    the function in Python; ``helpers``: the functions of Numba's C modules that the code calls.
    """

    entry: str
    environment: str
    helpers: tuple[str, ...]
    content: bytes

    def to_bytes(self) -> bytes:
        """A line of JSON, then the object file."""
        about = {"entry": self.entry, "environment": self.environment, "helpers": self.helpers}
        return json.dumps(about).encode() + b"\n" + self.content

    @classmethod
    def from_bytes(cls, written: bytes) -> MachineCode:
        about, _, content = written.partition(b"\n")
        read = json.loads(about)
        return cls(read["entry"], read["environment"], tuple(read["helpers"]), content)


def processor() -> str:
    """What the machine code depends on: the platform, the processor's name and its instructions."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return f"{binding.get_process_triple()} {binding.get_host_cpu_name()} {features}"


def numba_folder() -> Path:
    """Where Numba's package is, found without loading it. Raises ImportError where there is none."""
    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("Numba is not installed", name="numba")
    return Path(spec.origin).parent


@functools.cache
def helpers() -> dict[str, int]:
    """The addresses of the functions that compiled code may call, by the names that Numba gives them."""
    addresses = {"_Py_NoneStruct": id(None)}
    for name in ("_helperlib", "_dynfunc"):
        addresses |= {f"numba_{key}": value for key, value in _c_module(name).c_helpers.items()}
    runtime = _c_module("core.runtime._nrt_python").c_helpers
    addresses |= {f"NRT_{key}": value for key, value in runtime.items()}
    # In Numba's code these names are the exceptions themselves, not, as in CPython's, pointers to them.
    kinds = (kind for kind in vars(__import__("builtins")).values() if isinstance(kind, type))
    return addresses | {f"PyExc_{k.__name__}": id(k) for k in kinds if issubclass(k, BaseException)}


def link(function: Callable[..., Any], code: MachineCode) -> Callable[..., Any]:
    """The function that the machine code of ``function`` is in this process.

    It takes the very types that it was compiled for: whoever calls it has to make sure. Raises KeyError,
    RuntimeError or ImportError where the code wants something that is not there.
    """
    from llvmlite.binding import JITLibraryBuilder

    builder = JITLibraryBuilder().add_object_img(code.content).add_current_process()
    for name in code.helpers:
        builder.import_symbol(name, helpers()[name])
    builder.export_symbol(code.entry).export_symbol(code.environment)
    library = builder.link(_linker(), f"linclass-{next(_names)}")
    dynfunc = _c_module("_dynfunc")
    environment = dynfunc.Environment(function.__globals__)
    ctypes.c_void_p.from_address(library[code.environment]).value = id(environment)
    owner, keep_alive = sys.modules[function.__module__], (library, environment)
    made: Callable[..., Any] = dynfunc.make_function(
        owner, function.__name__, function.__doc__ or "", library[code.entry], environment, keep_alive
    )
    return made


@functools.cache
def _linker() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    return binding.create_lljit_compiler(machine, use_jit_link=True)


@functools.cache
def _c_module(name: str) -> ModuleType:
    """A C module of Numba's package, without the package, which would load everything else."""
    path = numba_folder().joinpath(*name.split("."))
    spec = spec_from_file_location(f"numba.{name}", f"{path}{sysconfig.get_config_var('EXT_SUFFIX')}")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
