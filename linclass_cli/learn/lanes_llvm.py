"""The code of `lanes`' functions, as LLVM is given it. Loaded only where a kernel is compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from linclass_cli.learn.lanes import IMAGES

_INDEX = ir.IntType(64)
_I32 = ir.IntType(32)
_FUSE = ("contract",)


class _Matrix:
    """A C-contiguous array (rows, columns) in the code that is being made.

    lanes: of its vectors; as many as a register has, unless they are given.
    """

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, lanes: int = 0) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder, self.data = builder, array.data
        shape = cgutils.unpack_tuple(builder, array.shape)
        self.rows, self.columns = shape[0], shape[-1]
        features = context.codegen().magic_tuple()[2]
        size = context.get_abi_sizeof(array.data.type.pointee)
        self.lanes = lanes or (64 if "+avx512f" in features else 32) // size
        self.item = array.data.type.pointee
        self.vector = ir.VectorType(self.item, self.lanes)
        self.align, self.size = size * self.lanes, size

    def at(self, row: Any, column: Any) -> Any:
        """The address of an element."""
        b = self.builder
        return b.gep(self.data, [b.add(b.mul(row, self.columns), column)])

    def load(self, row: Any, column: Any, aligned: bool = True) -> Any:
        b = self.builder
        place = b.bitcast(self.at(row, column), self.vector.as_pointer())
        return b.load(place, align=self.align if aligned else self.size)

    def prefetch(self, row: Any, column: Any) -> None:
        """Ask for the cache line of an element, for reading, into the second-level cache."""
        b = self.builder
        place = b.bitcast(self.at(row, column), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
        ask = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        b.call(ask, [place, ir.Constant(_I32, 0), ir.Constant(_I32, 2), ir.Constant(_I32, 1)])

    def load_rest(self, row: Any, column: Any) -> Any:
        """A vector whose lanes from the end of the row on are 0 and not read."""
        b, lanes = self.builder, ir.VectorType(_INDEX, self.lanes)
        left = _spread(b, b.sub(self.columns, column), self.lanes)
        mask = b.icmp_signed("<", ir.Constant(lanes, list(range(self.lanes))), left)
        place = b.bitcast(self.at(row, column), self.vector.as_pointer())
        kind = ir.FunctionType(self.vector, [place.type, _I32, mask.type, self.vector])
        short = {2: "i16", 4: "f32", 8: "f64"}[self.size]
        name = f"llvm.masked.load.v{self.lanes}{short}.p0"
        load = cgutils.get_or_insert_function(b.module, kind, name)
        return b.call(load, [place, ir.Constant(_I32, self.size), mask, ir.Constant(self.vector, None)])

    def store(self, vector: Any, row: Any, column: Any) -> None:
        b = self.builder
        b.store(vector, b.bitcast(self.at(row, column), self.vector.as_pointer()), align=self.align)


def _count(n: int) -> Any:
    return ir.Constant(_INDEX, n)


def _pick(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


def _spread(builder: Any, value: Any, lanes: int) -> Any:
    """The value in every lane."""
    vector = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    vector = builder.insert_element(vector, value, ir.Constant(_I32, 0))
    return _pick(builder, vector, vector, [0] * lanes)


def _add_product(builder: Any, sums: Any, x: Any, y: Any) -> None:
    """sums += x y, fused into one instruction where the processor has it."""
    product = builder.fmul(x, y, flags=_FUSE)
    builder.store(builder.fadd(builder.load(sums), product, flags=_FUSE), sums)


def _sums_of_lanes(builder: Any, vectors: list[Any]) -> Any:
    """The sums of the lanes of four vectors, as one vector of four."""
    while (n := vectors[0].type.count) > IMAGES:
        low, high = list(range(n // 2)), list(range(n // 2, n))
        vectors = [builder.fadd(_pick(builder, v, v, low), _pick(builder, v, v, high)) for v in vectors]
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [
            builder.fadd(_pick(builder, v, w, [0, 2, 4, 6]), _pick(builder, v, w, [1, 3, 5, 7]))
            for v, w in pairs
        ]
    return vectors[0]


def _widen(context: Any, builder: Any, halves: Any) -> Any:
    """Floats of the float16 whose bits a vector holds."""
    lanes = halves.type.count
    features = context.codegen().magic_tuple()[2]
    if "+f16c" in features or "+fullfp16" in features:
        as_halves = builder.bitcast(halves, ir.VectorType(ir.HalfType(), lanes))
        return builder.fpext(as_halves, ir.VectorType(ir.FloatType(), lanes))
    # Without an instruction for it LLVM calls a function, and who knows whose. Exponent and fraction, moved
    # to where float32 has them, are 2^112 times too small, as their exponents count from elsewhere. (That
    # makes no infinities and NaNs of theirs; features have none.)
    bits = builder.zext(halves, ir.VectorType(_I32, lanes))

    def every(value: int) -> Any:
        return ir.Constant(bits.type, [value] * lanes)

    size = builder.shl(builder.and_(bits, every(0x7FFF)), every(13))
    sign = builder.shl(builder.and_(bits, every(0x8000)), every(16))
    floats = ir.VectorType(ir.FloatType(), lanes)
    size = builder.fmul(builder.bitcast(size, floats), ir.Constant(floats, [2.0**112] * lanes))
    return builder.bitcast(builder.or_(builder.bitcast(size, bits.type), sign), floats)


def _for_each_group(builder: Any, k: Any, most: int, emit: Callable[[Any, int], None]) -> None:
    """k classes in groups of about the same size, at most ``most``: code for each size, and the loop."""
    parts = builder.sdiv(builder.add(k, _count(most - 1)), _count(most))
    with cgutils.for_range(builder, parts) as part:
        first = builder.sdiv(builder.mul(k, part.index), parts)
        last = builder.sdiv(builder.mul(k, builder.add(part.index, _count(1))), parts)
        size = builder.sub(last, first)
        for classes in range(1, most + 1):
            with builder.if_then(builder.icmp_signed("==", size, _count(classes))):
                emit(first, classes)


def _emit_scale(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    rows, mean, factor, T = (
        _Matrix(context, builder, kind, value)
        for kind, value in zip(signature.args[1:], values[1:], strict=True)
    )
    X = _Matrix(context, builder, signature.args[0], values[0], T.lanes)
    whole = builder.mul(builder.sdiv(X.columns, _count(X.lanes)), _count(X.lanes))
    top = _count(0)
    with cgutils.for_range(builder, rows.columns) as image:
        row = builder.load(rows.at(top, image.index))

        def put(x: Any, j: Any) -> None:
            x = _widen(context, builder, x) if X.size == 2 else x
            off = builder.fsub(x, mean.load(top, j))
            T.store(builder.fmul(off, factor.load(top, j)), image.index, j)

        with cgutils.for_range_slice(builder, top, whole, _count(X.lanes), inc=True) as (j, _):
            put(X.load(row, j, aligned=False), j)
        with builder.if_then(builder.icmp_signed("<", whole, X.columns)):
            put(X.load_rest(row, whole), whole)
    return context.get_dummy_value()


def _emit_dots(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    T, W, bias, S = (_Matrix(context, builder, signature.args[n], values[n]) for n in (0, 2, 3, 4))
    m = values[1]

    def step(i: Any, rows: list[Any]) -> None:
        sums = [[cgutils.alloca_once(builder, T.vector) for _ in range(IMAGES)] for _ in rows]
        for one in itertools.chain(*sums):
            builder.store(ir.Constant(T.vector, None), one)
        with cgutils.for_range_slice(builder, _count(0), T.columns, _count(T.lanes), inc=True) as (j, _):
            images = [T.load(builder.add(i, _count(a)), j) for a in range(IMAGES)]
            for row, of_class in zip(rows, sums, strict=True):
                w = W.load(row, j)
                for image, one in zip(images, of_class, strict=True):
                    _add_product(builder, one, image, w)
        for row, of_class in zip(rows, sums, strict=True):
            four = _sums_of_lanes(builder, [builder.load(one) for one in of_class])
            four = builder.fadd(four, _spread(builder, builder.load(bias.at(_count(0), row)), IMAGES))
            place = builder.bitcast(S.at(row, i), four.type.as_pointer())
            builder.store(four, place, align=S.size)

    def emit(c: Any, classes: int) -> None:
        rows = [builder.add(c, _count(x)) for x in range(classes)]
        with cgutils.for_range_slice(builder, _count(0), m, _count(IMAGES), inc=True) as (i, _):
            step(i, rows)

    # For the sums to stay in registers: there are 32 of 64 bytes, or 16 of 32.
    _for_each_group(builder, W.rows, 6 if T.align == 64 else 2, emit)
    return context.get_dummy_value()


def _emit_outers(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    S, T, dW, X, ahead = (_Matrix(context, builder, signature.args[n], values[n]) for n in (0, 1, 3, 4, 5))
    m = values[2]

    def emit(c: Any, classes: int) -> None:
        rows = [builder.add(c, _count(x)) for x in range(classes)]
        sums = [cgutils.alloca_once(builder, T.vector) for _ in rows]
        with cgutils.for_range_slice(builder, _count(0), T.columns, _count(T.lanes), inc=True) as (j, _):
            for row, one in zip(rows, sums, strict=True):
                builder.store(dW.load(row, j), one)
            with cgutils.for_range(builder, m) as image:
                features = T.load(image.index, j)
                with builder.if_then(builder.icmp_signed("==", c, _count(0))):
                    X.prefetch(builder.load(ahead.at(_count(0), image.index)), j)
                for row, one in zip(rows, sums, strict=True):
                    score = builder.load(S.at(row, image.index))
                    _add_product(builder, one, _spread(builder, score, T.lanes), features)
            for row, one in zip(rows, sums, strict=True):
                dW.store(builder.load(one), row, j)

    # So many sums, a vector of features and a score make 14 registers.
    _for_each_group(builder, dW.rows, 12, emit)
    return context.get_dummy_value()


def _contiguous(*arrays: Any) -> None:
    if any(array.layout != "C" for array in arrays):
        raise TypingError("these kernels want C-contiguous arrays")


@intrinsic
def scale(_: Any, X: Any, rows: Any, mean: Any, factor: Any, T: Any) -> Any:
    _contiguous(X, rows, mean, factor, T)
    return types.void(X, rows, mean, factor, T), _emit_scale


@intrinsic
def dots(_: Any, T: Any, m: Any, W: Any, b: Any, S: Any) -> Any:  # noqa: ARG001
    _contiguous(T, W, b, S)
    return types.void(T, types.intp, W, b, S), _emit_dots


@intrinsic
def outers(_: Any, S: Any, T: Any, m: Any, dW: Any, X: Any, ahead: Any) -> Any:  # noqa: ARG001
    _contiguous(S, T, dW, X, ahead)
    return types.void(S, T, types.intp, dW, X, ahead), _emit_outers
