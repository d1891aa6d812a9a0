# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of kernels
"""SIMD vectors of sixteen numbers for the compiled kernels.

LLVM turns ``float x 16`` and ``int32 x 16`` into whatever registers the machine has. The functions
here are usable inside numba functions only. They check nothing: offsets count elements of
C-contiguous arrays, and whoever calls keeps them inside.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import models, register_model

from vortex_hep.core.compiled import intrinsic
from vortex_hep.nn.arithmetic import ACTIVATION_MAX, SHARED, TRUNK_SHIFT

#: Elements of a vector.
WIDTH = 16

_BITS = ir.IntType(32)
_INTS = ir.VectorType(_BITS, WIDTH)
_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
# All values are integers below 2**24: fusing and reordering change nothing.
_EXACT = ("contract", "nsz")


class _Vector(types.Type):
    """A vector of 16 elements of one scalar type."""

    def __init__(self, element: types.Type) -> None:
        self.element = element
        super().__init__(name=f"{element}x{WIDTH}")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: _Vector) -> None:
        kind = _FLOATS if vector.element == types.float32 else _INTS
        super().__init__(manager, vector, kind)  # type: ignore[no-untyped-call]


FLOATS = _Vector(types.float32)
INTS = _Vector(types.int32)


def _vector_of(array: types.Array) -> _Vector:
    """Vector type of an array, which must be contiguous: offsets count its elements."""
    for vector in (FLOATS, INTS):
        if array.dtype == vector.element and array.layout == "C":
            return vector
    raise TypingError(f"no vectors of {array}")


def _bytes_of(array: types.Array) -> None:
    if array.dtype != types.int8 or array.layout != "C":
        raise TypingError(f"no vectors of bytes of {array}")


def _address(context: Any, builder: Any, array_type: Any, array: Any, at: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _constant(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [ir.Constant(kind.element, value)] * WIDTH)


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    signature = ir.FunctionType(result, [a.type for a in args])
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, signature, name
    )
    return builder.call(function, args)


def _splat(builder: Any, scalar: Any) -> Any:
    kind = ir.VectorType(scalar.type, WIDTH)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _BITS(0))
    return builder.shuffle_vector(one, one, _constant(_INTS, 0))


@intrinsic
def load(typing_context, array, at):  # type: ignore[no-untyped-def]
    """``array.flat[at : at + 16]`` of a float32 or int32 array."""
    result = _vector_of(array)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        place = _address(context, builder, signature.args[0], args[0], args[1], kind)
        return builder.load(place, align=4)

    return result(array, types.intp), generate


@intrinsic
def load_bytes(typing_context, array, at):  # type: ignore[no-untyped-def]
    """``array.flat[at : at + 16]`` of an int8 array, as floats."""
    _bytes_of(array)
    kind = ir.VectorType(ir.IntType(8), WIDTH)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        place = _address(context, builder, signature.args[0], args[0], args[1], kind)
        return builder.sitofp(builder.load(place, align=1), _FLOATS)

    return FLOATS(array, types.intp), generate


@intrinsic
def store(typing_context, array, at, vector):  # type: ignore[no-untyped-def]
    """``array.flat[at : at + 16] = vector``."""
    _vector_of(array)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        place = _address(context, builder, signature.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def zeros(typing_context):  # type: ignore[no-untyped-def]
    """Sixteen float zeros."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _constant(_FLOATS, 0.0)

    return FLOATS(), generate


@intrinsic
def add(typing_context, a, b):  # type: ignore[no-untyped-def]
    """``a + b``."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fadd(args[0], args[1], flags=_EXACT)

    return FLOATS(FLOATS, FLOATS), generate


@intrinsic
def add_product(typing_context, total, array, at, vector):  # type: ignore[no-untyped-def]
    """``total + array.flat[at] * vector`` for a float32 array."""
    _vector_of(array)

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[1])(context, builder, args[1]).data
        scalar = builder.load(builder.gep(data, [args[2]]))
        product = builder.fmul(_splat(builder, scalar), args[3], flags=_EXACT)
        return builder.fadd(args[0], product, flags=_EXACT)

    return FLOATS(FLOATS, array, types.intp, FLOATS), generate


@intrinsic
def add_products(typing_context, total, a, b):  # type: ignore[no-untyped-def]
    """``total + a * b``."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        product = builder.fmul(args[1], args[2], flags=_EXACT)
        return builder.fadd(args[0], product, flags=_EXACT)

    return FLOATS(FLOATS, FLOATS, FLOATS), generate


@intrinsic
def whole_total(typing_context, vector):  # type: ignore[no-untyped-def]
    """Sum of 16 floats that are integers, as an integer."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        whole = builder.fptosi(args[0], _INTS)
        return _call(builder, "llvm.vector.reduce.add.v16i32", _BITS, whole)

    return types.int32(FLOATS), generate


@intrinsic
def clip(typing_context, vector):  # type: ignore[no-untyped-def]
    """Clip to the range of activations."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        v = args[0]
        for bound, wrong in ((0.0, "<"), (float(ACTIVATION_MAX), ">")):
            limit = _constant(_FLOATS, bound)
            v = builder.select(builder.fcmp_ordered(wrong, v, limit), limit, v)
        return v

    return FLOATS(FLOATS), generate


@intrinsic
def clip_slope(typing_context, gradient, clipped):  # type: ignore[no-untyped-def]
    """``gradient`` where ``clipped`` lies inside the range of activations, else 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        low = builder.fcmp_ordered(">", args[1], _constant(_FLOATS, 0.0))
        high = builder.fcmp_ordered("<", args[1], _constant(_FLOATS, float(ACTIVATION_MAX)))
        return builder.select(builder.and_(low, high), args[0], _constant(_FLOATS, 0.0))

    return FLOATS(FLOATS, FLOATS), generate


@intrinsic
def descale(typing_context, vector):  # type: ignore[no-untyped-def]
    """Divide by ``2**TRUNK_SHIFT``, rounding half up."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        shifted = builder.fmul(args[0], _constant(_FLOATS, 2.0**-TRUNK_SHIFT))
        shifted = builder.fadd(shifted, _constant(_FLOATS, 0.5))
        return _call(builder, "llvm.floor.v16f32", _FLOATS, shifted)

    return FLOATS(FLOATS), generate


def _weights(builder: Any, logits: Any) -> tuple[Any, Any]:
    """Integer weights of softmax, and where the highest logits are."""
    whole = builder.fptosi(logits, _INTS)
    top = _splat(builder, _call(builder, "llvm.vector.reduce.smax.v16i32", _BITS, whole))
    distance = builder.sub(top, whole)
    steps = builder.lshr(distance, _constant(_INTS, 10))
    most = _constant(_INTS, 31)
    steps = builder.select(builder.icmp_unsigned("<", steps, most), steps, most)
    r = builder.and_(distance, _constant(_INTS, 1023))
    bend = builder.lshr(builder.mul(r, _constant(_INTS, 5623)), _constant(_INTS, 10))
    slope = builder.mul(builder.sub(_constant(_INTS, 22007), bend), r)
    weight = builder.sub(_constant(_INTS, 32768), builder.lshr(slope, _constant(_INTS, 10)))
    return builder.lshr(weight, steps), builder.icmp_signed("==", whole, top)


@intrinsic
def softmax_weights(typing_context, logits):  # type: ignore[no-untyped-def]
    """``exp2_weight(max(logits) - logits)`` of integer-valued logits."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _weights(builder, args[0])[0]

    return INTS(FLOATS), generate


@intrinsic
def total(typing_context, vector):  # type: ignore[no-untyped-def]
    """Sum of 16 integers."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _call(builder, "llvm.vector.reduce.add.v16i32", _BITS, args[0])

    return types.int32(INTS), generate


@intrinsic
def scaled(typing_context, vector, scalar):  # type: ignore[no-untyped-def]
    """Return 16 integers times a float32, as floats."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fmul(builder.sitofp(args[0], _FLOATS), _splat(builder, args[1]))

    return FLOATS(INTS, types.float32), generate


@intrinsic
def frequencies(typing_context, logits):  # type: ignore[no-untyped-def]
    """Return :func:`vortex_hep.nn.arithmetic.frequencies` of one row."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        def added(vector: Any) -> Any:
            return _call(builder, "llvm.vector.reduce.add.v16i32", _BITS, vector)

        weight, best = _weights(builder, args[0])
        scale = builder.udiv(_BITS(SHARED << 15), added(weight))
        share = builder.mul(weight, _splat(builder, scale))
        freq = builder.add(builder.lshr(share, _constant(_INTS, 15)), _constant(_INTS, 1))
        left = _splat(builder, builder.sub(_BITS(1 << 16), added(freq)))
        # The lowest bit of the mask is the first of the highest logits.
        mask = builder.bitcast(best, ir.IntType(WIDTH))
        first = builder.bitcast(builder.and_(mask, builder.neg(mask)), best.type)
        return builder.add(freq, builder.select(first, left, _constant(_INTS, 0)))

    return INTS(FLOATS), generate


@intrinsic
def sums_before(typing_context, vector):  # type: ignore[no-untyped-def]
    """Sum of the elements before each one."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        nothing = _constant(_INTS, 0)

        def shifted(v: Any, by: int) -> Any:
            picks = [_BITS(k - by if k >= by else WIDTH + k) for k in range(WIDTH)]
            return builder.shuffle_vector(v, nothing, ir.Constant(_INTS, picks))

        v = shifted(args[0], 1)
        for by in (1, 2, 4, 8):
            v = builder.add(v, shifted(v, by))
        return v

    return INTS(INTS), generate


@intrinsic
def count_up_to(typing_context, vector, limit):  # type: ignore[no-untyped-def]
    """How many of 16 non-negative integers are not above ``limit``."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        low = builder.icmp_signed("<=", args[0], _splat(builder, args[1]))
        mask = builder.bitcast(low, ir.IntType(WIDTH))
        count = _call(builder, "llvm.ctpop.i16", ir.IntType(WIDTH), mask)
        return builder.zext(count, ir.IntType(64))

    return types.int64(INTS, types.int32), generate
