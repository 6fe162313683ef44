"""One step of a draw for numba: 16 Philox blocks and the numbers made of their 64 words.

A quantile reads a table, one number at a time, while everything else is done by vector instructions. So that the reads
cost no time of their own, a step works on three groups of blocks at once: the first rounds of Philox for the newest, the
table entries of the one before between them, and the polynomials of the oldest. What a step leaves for the next lies in
`scratch`. Other laws need no table: their numbers are stored in the step that makes their words.

Products of two 32-bit numbers need 64-bit places, so the blocks are kept as even and odd ones, eight places each.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fanin.draws.bits import LANES, MASK, MULTIPLIERS, ROUNDS, SIDE
from fanin.draws.numba_vectors import F32, F64, I16, I32, I64, Memory, Vector, constant, spread

GROUP = 16  # blocks a step
QUANTILES = ("plain normal", "normal")  # laws that read a table, so that their numbers come two steps late
LATE = 2
ROOMY = bool(binding.get_host_cpu_features().get("avx512f"))  # 32 registers of 64 bytes; others have a quarter of that
ITEM = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}  # bytes a number

# Where things lie in the scratch memory, in bytes: one line of 64 bytes holds 16 words, or 8 table entries.
PLACES, EVEN, ODD, KEYS = 0, 256, 512, 768  # index of each entry; entries of even and odd words; keys of the rounds
FRACTIONS, WORDS = 1024, 1536  # of two groups each
SCRATCH = 2048

written: Any = intrinsic(prefer_literal=True)  # a function whose LLVM code is written here
Pair = tuple[Vector, Vector]  # 64-bit places of the even and the odd blocks


@written
def late(typing: Any, law: Any) -> Any:
    """How many steps after its words a number is stored."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(I64, LATE if law.literal_value in QUANTILES else 0)

    return types.uint64(law), generate


@written
def item(typing: Any, dtype: Any) -> Any:
    """Bytes a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(I64, ITEM[dtype.literal_value])

    return types.uint64(dtype), generate


@written
def step(
    typing: Any,
    law: Any,
    dtype: Any,
    scale: Any,
    numbers: Any,
    counter: Any,
    group: Any,
    lanes: Any,
    table: Any,
    scratch: Any,
    target: Any,
) -> Any:
    """Words of the blocks 16 group … 16 group + 15; numbers of theirs, or of those two groups earlier, at `target`.

    Args:
        law: "plain normal", "normal", "plain uniform", "uniform", "signs", "below" or "integers" (a literal).
        dtype: a key of `ITEM` (a literal).
        scale: see `recipe.Recipe`.
        numbers: shift, offset, low, span - 1, least, most of the recipe.
        counter: words 1, 2 and 3 of the blocks' counters.
        group: number of the group.
        lanes: 4. It is no constant, so that LLVM keeps the loop: unrolled, it would gather all reads at one end.
        table: address of the table.
        scratch: address of the scratch memory, a multiple of 64.
        target: address of the first of the group's numbers in the tile.
    """
    signature = types.void(law, dtype, scale, numbers, counter, group, lanes, table, scratch, target)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, scale, numbers, counter, group, lanes, table, scratch, target = arguments
        write = _Writer(builder, law.literal_value, dtype.literal_value, scale, numbers, target)
        memory = Memory(builder, scratch)
        words = _first_words(builder, group, cgutils.unpack_tuple(builder, counter))
        if law.literal_value in QUANTILES:
            words = _quantile_rounds(builder, words, memory, Memory(builder, table), group, lanes, write)
            _keep_places(builder, words, memory, group, write)
        else:
            words = _rounds(memory, words)
            for lane in range(LANES):
                write.words(lane, words[0][lane], words[1][lane])
        return context.get_dummy_value()

    return signature, generate


State = tuple[list[Vector], list[Vector]]  # the four words of the even and of the odd blocks


def _first_words(builder: Any, group: Any, counter: list[Any]) -> State:
    """The counters of the blocks."""
    block = builder.shl(group, ir.Constant(I64, 4))
    upper = builder.or_(builder.lshr(block, ir.Constant(I64, 32)), counter[0])
    base = spread(builder, builder.and_(block, ir.Constant(I64, MASK)), 8)
    rest = [spread(builder, word, 8) for word in (upper, counter[1], counter[2])]
    even, odd = ([base | constant(builder, I64, range(k, GROUP, 2)), *rest] for k in (0, 1))
    return even, odd


def _keys(memory: Memory, turn: Any) -> Pair:
    """The two keys of a round, whose number may be known only while the code runs."""
    build = memory.builder
    offset = 16 * turn + KEYS if isinstance(turn, int) else build.add(build.shl(turn, I64(4)), I64(KEYS))
    after = offset + 8 if isinstance(offset, int) else build.add(offset, I64(8))
    first, second = (spread(build, memory.load(place, I64, 8), 8) for place in (offset, after))
    return first, second


def _round(state: State, k0: Vector, k1: Vector) -> State:
    """A round of Philox. The upper halves of the places fill with what does not matter: products read the lower ones."""
    return _half_round(state[0], k0, k1), _half_round(state[1], k0, k1)


def _rounds(memory: Memory, state: State) -> State:
    """All of them; one half after the other where the words of both do not fit into the registers (a sixth faster there)."""
    if ROOMY:
        for turn in range(ROUNDS):
            state = _round(state, *_keys(memory, turn))
        return state
    even, odd = state
    for turn in range(ROUNDS):
        even = _half_round(even, *_keys(memory, turn))
    for turn in range(ROUNDS):
        odd = _half_round(odd, *_keys(memory, turn))
    return even, odd


def _half_round(words: list[Vector], k0: Vector, k1: Vector) -> list[Vector]:
    first, second = (words[2 * k] & MASK for k in (0, 1))
    p0, p1 = first * MULTIPLIERS[0], second * MULTIPLIERS[1]
    return [(p1 >> 32) ^ words[1] ^ k0, p1, (p0 >> 32) ^ words[3] ^ k1, p0]


def _joined(even: Vector, odd: Vector) -> Vector:
    """The lower halves of the places, even and odd in turn: 16 words in their order."""
    return ((even & MASK) | (odd << 32)).seen_as(I32)


def _quantile_rounds(
    builder: Any, words: State, memory: Memory, table: Memory, group: Any, lanes: Any, write: "_Writer"
) -> State:
    """Philox's rounds, with the table entries of the last group and the numbers of the one before in between."""
    for turn in (0, 1):
        words = _round(words, *_keys(memory, turn))
    kept = [[cgutils.alloca_once_value(builder, word.value) for word in half] for half in words]
    slot = builder.shl(builder.and_(group, I64(1)), I64(8))
    with cgutils.for_range(builder, lanes) as loop:
        line = builder.shl(loop.index, I64(6))
        write.quantile(loop.index, *_evaluated(builder, memory, line, builder.add(line, slot)))
        for pair in range(8):
            for half, entries in ((0, EVEN), (4, ODD)):
                place = memory.load(builder.add(line, I64(PLACES + 8 * pair + half)), I32, 4)
                entry = table.load(builder.shl(builder.zext(place, I64), I64(3)), I64, 8)
                memory.store(builder.add(line, I64(entries + 8 * pair)), entry, 8)
        state = _loaded(builder, kept)
        turn = builder.add(builder.shl(loop.index, I64(1)), I64(2))
        for after in (0, 1):
            state = _round(state, *_keys(memory, builder.add(turn, I64(after))))
        for half, slots in zip(state, kept, strict=True):
            for word, place in zip(half, slots, strict=True):
                builder.store(word.value, place)
    return _loaded(builder, kept)


def _loaded(builder: Any, kept: list[list[Any]]) -> State:
    even, odd = ([Vector(builder, builder.load(place)) for place in half] for half in kept)
    return even, odd


def _evaluated(builder: Any, memory: Memory, line: Any, place: Any) -> Pair:
    """|z| of 16 words, and the words, from table entries and fractions (see `quantile.normal_index`)."""
    fractions = memory.vector(builder.add(place, I64(FRACTIONS)), I64, 8, 64)
    z = []
    for entries, x in ((EVEN, fractions & MASK), (ODD, fractions >> 32)):
        entry = memory.vector(builder.add(line, I64(entries)), I64, 8, 64)
        slope = (entry >> 20) - (((entry >> 52) * x) >> 21) & MASK
        z.append(entry - (slope * x >> 43))
    return _joined(*z) & 0x7FFFFFFF, memory.vector(builder.add(place, I64(WORDS)), I32, 16, 64)


def _keep_places(builder: Any, words: State, memory: Memory, group: Any, write: "_Writer") -> None:
    """Leave the words, their places in the table and their fractions for the next steps.

    The octave is the exponent of u as a float32. Bits that follow nine places after a one are taken off before, so that
    the conversion cannot round up; the octave and the seven bits of the interval do not change by it.
    """
    slot = builder.shl(builder.and_(group, I64(1)), I64(8))
    for lane in range(LANES):
        index = write.indices(words[0][lane], words[1][lane])
        u = ((index + index) ^ index.signed_shift(31)) | 1
        single = (u & ~(u >> 9)).converted(F32, signed=False).seen_as(I32)
        zeros = (single >> 23 ^ 0xFF) - (0xFF - 127 - 31)
        at = builder.add(slot, I64(64 * lane))
        memory.store(PLACES + 64 * lane, (single >> 16) - (127 << 7), 64)
        memory.store(builder.add(at, I64(FRACTIONS)), (u << 8) << zeros, 64)
        memory.store(builder.add(at, I64(WORDS)), index, 64)


class _Writer:
    """From words or |z| to numbers in memory: what a recipe's shift, offset and scale do, and the rounding."""

    def __init__(self, builder: Any, law: str, dtype: str, scale: Any, numbers: Any, target: Any) -> None:
        self.builder = builder
        self.law = law
        self.dtype = dtype
        self.target = Memory(builder, target)
        self.scale = scale
        names = ("shift", "offset", "low", "span", "least", "most")
        self.number: dict[str, Any] = dict(zip(names, cgutils.unpack_tuple(builder, numbers), strict=True))

    def words(self, lane: int, even: Vector, odd: Vector) -> None:
        """Numbers of 16 words of a law without a table."""
        word = _joined(even, odd)
        match self.law:
            case "plain uniform" | "uniform":
                self._integers(lane, word | 1)
            case "signs":
                self._integers(lane, (word.signed_shift(31) << 1 ^ -2) + 1)
            case "below":
                one, none = (constant(self.builder, I32, [k] * 16) for k in (1, 0))
                self._integers(lane, word.where_below(self._word("span") + 1, one, none))
            case _:
                self._integers(lane, _joined(self._scaled_down(even), self._scaled_down(odd)))

    def indices(self, even: Vector, odd: Vector) -> Vector:
        """The quantile's indices of 16 words."""
        if self.law == "plain normal":
            return _joined(even, odd)
        return _joined(self._scaled_down(even), self._scaled_down(odd)) + self._word("low")

    def quantile(self, lane: Any, z: Vector, index: Vector) -> None:
        """Numbers of 16 |z|, whose signs are the top bits of the indices."""
        if self.law == "plain normal" and self.dtype != "float64":
            value = z.converted(F32).times(self._scale(16)).seen_as(I32) ^ (~index & 0x80000000)
            self._store(lane, value.seen_as(F32))
            return
        negative = ~index.signed_shift(31)
        z = (z ^ negative) - negative
        if self.law != "plain normal":
            z = z.at_least(self._word("least")).at_most(self._word("most"))
        self._integers(lane, z)

    def _scaled_down(self, words: Vector) -> Vector:
        """word × span >> 32, in the lower halves of 64-bit places; what is kept is span - 1, which has 32 bits."""
        low = words & MASK
        return low * spread(self.builder, self.number["span"], 8) + low >> 32

    def _integers(self, lane: Any, z: Vector) -> None:
        """Numbers of 16 z."""
        if self.dtype == "float64":
            for half in (0, 8):
                k = z.part(half, 8).converted(I64)
                k = k.signed_shift(spread(self.builder, self.number["shift"], 8))
                k = k + spread(self.builder, self.number["offset"], 8)
                self._store(lane, k.converted(F64).times(self._scale(8)), half)
            return
        if not self.law.startswith("plain"):
            z = z.signed_shift(self._word("shift")) + self._word("offset")
        self._store(lane, z.converted(F32).times(self._scale(16)))

    def _store(self, lane: Any, value: Vector, first: int = 0) -> None:
        size = ITEM[self.dtype]
        bits = {"bfloat16": _bfloat16, "float16": _float16}.get(self.dtype)
        row = I64(lane) if isinstance(lane, int) else lane
        offset = self.builder.add(self.builder.mul(row, I64(SIDE * size)), I64(first * size))
        self.target.store(offset, bits(value) if bits else value, size)

    def _word(self, name: str) -> Vector:
        return spread(self.builder, self.builder.trunc(self.number[name], I32), 16)

    def _scale(self, count: int) -> Vector:
        scale = self.scale if self.dtype == "float64" else self.builder.fptrunc(self.scale, F32)
        return spread(self.builder, scale, count)


def _bfloat16(value: Vector) -> Vector:
    """float32 rounded to bfloat16 (to nearest, ties to even), as 16-bit integers; there is no NaN among them."""
    bits = value.seen_as(I32)
    return (bits + ((bits >> 16 & 1) + 0x7FFF) >> 16).converted(I16)


def _float16(value: Vector) -> Vector:
    """float32 rounded to float16 (to nearest, ties to even), as 16-bit integers; there is no NaN among them.

    Numbers below float16's smallest normal one are rounded by the float32 sum with ½, whose last digit is 2^-24.
    """
    bits = value.seen_as(I32)
    size = bits & 0x7FFFFFFF
    small = size.seen_as(F32).plus(0.5).seen_as(I32) - 0x3F000000
    normal = size + ((size >> 13 & 1) + (0xFFF - (112 << 23))) >> 13
    infinite = constant(value.builder, I32, [0x7C00] * 16)
    half = size.where_below(113 << 23, small, size.where_below(0x477FF000, normal, infinite))
    return (half | (bits >> 16 & 0x8000)).converted(I16)
