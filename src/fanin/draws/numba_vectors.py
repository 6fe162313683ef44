"""A vector of numbers in LLVM's own code, written with Python's operators.

Numba turns plain loops into vector instructions where it can. The draws need more than it can: products of 32-bit numbers
in the even and the odd halves of a register, and reads of a table between the rounds of a cipher. LLVM's vectors of a
fixed length say exactly that, and every processor that LLVM knows gets code of its own width.
"""

from typing import Any

from llvmlite import ir

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()


class Vector:
    """Numbers that are computed side by side; what is known only while the code runs is in `value`.

    Operators work element by element. The other side is a vector of the same type, or a Python number, which then stands
    for a vector full of it. `>>` brings in zeros.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder = builder
        self.value = value

    def __add__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.add, other)

    def __sub__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.sub, other)

    def __mul__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.mul, other)

    def __and__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.and_, other)

    def __or__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.or_, other)

    def __xor__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.xor, other)

    def __lshift__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.shl, other)

    def __rshift__(self, other: "Vector | int") -> "Vector":
        return self._made(self.builder.lshr, other)

    def __invert__(self) -> "Vector":
        return self ^ -1

    def signed_shift(self, other: "Vector | int") -> "Vector":
        """Shifted right, the sign brought in."""
        return self._made(self.builder.ashr, other)

    def times(self, other: "Vector | float") -> "Vector":
        """The product of floating-point numbers."""
        return self._made(self.builder.fmul, other)

    def plus(self, other: "Vector | float") -> "Vector":
        """The sum of floating-point numbers."""
        return self._made(self.builder.fadd, other)

    def minus(self, other: "Vector | float") -> "Vector":
        """The difference of floating-point numbers."""
        return self._made(self.builder.fsub, other)

    def at_least(self, other: "Vector | int") -> "Vector":
        """The larger of two signed numbers."""
        return self._picked(">", other)

    def at_most(self, other: "Vector | int") -> "Vector":
        """The smaller of two signed numbers."""
        return self._picked("<", other)

    def where_below(self, bound: "Vector | int", then: "Vector", other: "Vector") -> "Vector":
        """`then` where the number (without a sign) is below the bound, else `other`."""
        test = self.builder.icmp_unsigned("<", self.value, self._like(bound))
        return Vector(self.builder, self.builder.select(test, then.value, other.value))

    def seen_as(self, element: ir.Type) -> "Vector":
        """The same bits as elements of another type."""
        width = self.value.type.count * _width(self.value.type.element) // _width(element)
        return Vector(self.builder, self.builder.bitcast(self.value, ir.VectorType(element, width)))

    def converted(self, element: ir.Type, *, signed: bool = True) -> "Vector":
        """Integers as integers or floating-point numbers of another width, floating-point numbers as others."""
        source, target = self.value.type.element, ir.VectorType(element, self.value.type.count)
        build = self.builder
        if isinstance(element, ir.IntType):
            narrower = _width(element) < _width(source)
            how = build.trunc if narrower else build.sext if signed else build.zext
        else:
            how = build.sitofp if signed else build.uitofp
        return Vector(build, how(self.value, target))

    def part(self, start: int, count: int) -> "Vector":
        """`count` elements from `start` on."""
        return self.mixed(self, range(start, start + count))

    def mixed(self, other: "Vector", places: Any) -> "Vector":
        """Elements of both vectors, counted through."""
        order = list(places)
        picks = ir.Constant(ir.VectorType(I32, len(order)), order)
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, picks))

    def _made(self, build: Any, other: "Vector | float") -> "Vector":
        return Vector(self.builder, build(self.value, self._like(other)))

    def _picked(self, sign: str, other: "Vector | int") -> "Vector":
        right = self._like(other)
        test = self.builder.icmp_signed(sign, self.value, right)
        return Vector(self.builder, self.builder.select(test, self.value, right))

    def _like(self, other: "Vector | float") -> Any:
        if isinstance(other, Vector):
            return other.value
        kind = self.value.type
        number = other % 2**kind.element.width if isinstance(kind.element, ir.IntType) else float(other)
        return ir.Constant(kind, [number] * kind.count)


def _width(element: ir.Type) -> int:
    return element.width if isinstance(element, ir.IntType) else 32 if element == F32 else 64


def spread(builder: ir.IRBuilder, number: Any, count: int) -> Vector:
    """A vector full of a number that is known only while the code runs."""
    kind = ir.VectorType(number.type, count)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(I32, 0))
    return Vector(builder, one).mixed(Vector(builder, one), [0] * count)


def constant(builder: ir.IRBuilder, element: ir.Type, numbers: Any) -> Vector:
    """A vector of these numbers."""
    values = list(numbers)
    return Vector(builder, ir.Constant(ir.VectorType(element, len(values)), values))


class Memory:
    """Memory from an address on, in bytes."""

    def __init__(self, builder: ir.IRBuilder, address: Any) -> None:
        self.builder = builder
        self.address = address

    def load(self, offset: Any, kind: ir.Type, align: int) -> Any:
        """What lies at the offset: a scalar, or a vector's plain value."""
        return self.builder.load(self._pointer(offset, kind), align=align)

    def vector(self, offset: Any, element: ir.Type, count: int, align: int) -> Vector:
        """The elements that lie at the offset."""
        return Vector(self.builder, self.load(offset, ir.VectorType(element, count), align))

    def store(self, offset: Any, value: Any, align: int) -> None:
        """Write a scalar or a vector at the offset."""
        plain = value.value if isinstance(value, Vector) else value
        self.builder.store(plain, self._pointer(offset, plain.type), align=align)

    def _pointer(self, offset: Any, kind: ir.Type) -> Any:
        offset = ir.Constant(I64, offset) if isinstance(offset, int) else offset
        return self.builder.inttoptr(self.builder.add(self.address, offset), ir.PointerType(kind))
