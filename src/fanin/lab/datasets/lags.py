"""Long lags: tasks whose answer lies many steps back, which a recurrent net has to carry along."""

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.data import IGNORED, DataSet
from fanin.lab.datasets.parts import fixed_generator

LENGTH = 100
EXAMPLES, TEST_EXAMPLES = 20_000, 2000
SYMBOLS, RECALLED = 8, 10  # kinds of symbols to remember, and how many of them
BLANK, DELIMITER = SYMBOLS, SYMBOLS + 1
MADE = "fanin 1, Philox seed 0"


def adding(spec: str, examples: int | None, length: int | None) -> DataSet:
    """The adding problem: the sum of the two marked numbers in a sequence of `length`, float32 (examples, length, 2).

    The first feature is uniform in [0, 1]; the second is 1 at one place in each half, else 0. Who always answers 1 has a
    mean squared error of 1/6. Hochreiter & Schmidhuber, Neural Computation 1997, experiment 4, in the form of Le et al.
    2015 and Arjovsky et al., ICML 2016. They draw new sequences without end; here the training part is fixed.
    """
    length = _length(spec, length, least=2)
    generator = fixed_generator(3)
    parts = []
    for count in (examples or EXAMPLES, TEST_EXAMPLES):
        values = generator.random((count, length), dtype=np.float32)
        marks = np.zeros((count, length), dtype=np.float32)
        rows = np.arange(count)
        places = generator.integers(0, length // 2, count), generator.integers(length // 2, length, count)
        for place in places:
            marks[rows, place] = 1
        total = values[rows, places[0]] + values[rows, places[1]]
        parts += [np.stack([values, marks], 2), total[:, None]]
    return DataSet(
        spec,
        "regression",
        *parts,
        classes=0,
        forms=((length, 2),),
        target=0.9,
        normalisation="none: the numbers are uniform in [0, 1]",
        version=MADE,
    )


def copying(spec: str, examples: int | None, length: int | None) -> DataSet:
    """The copying problem: ten symbols are shown, and asked for again `length` steps later; int64 (examples, length + 20).

    Ids 0 to 7 are the symbols, 8 is blank, 9 asks for the answer. Only the last ten positions count (others have the target
    -100): chance is 1/8 right and a loss of log 8 = 2.08. In the papers blanks count too, which makes a loss of
    10 · log 8 / (length + 20) what a net without memory has. Hochreiter & Schmidhuber 1997; Arjovsky et al., ICML 2016,
    section 5.1. They draw new sequences without end; here the training part is fixed.
    """
    length = _length(spec, length, least=1)
    generator = fixed_generator(4)
    parts = []
    for count in (examples or EXAMPLES, TEST_EXAMPLES):
        symbols = generator.integers(0, SYMBOLS, (count, RECALLED))
        inputs = np.full((count, length + 2 * RECALLED), BLANK, dtype=np.int64)
        inputs[:, :RECALLED] = symbols
        inputs[:, length + RECALLED - 1] = DELIMITER
        targets = np.full_like(inputs, IGNORED)
        targets[:, -RECALLED:] = symbols
        parts += [inputs, targets]
    return DataSet(
        spec,
        "language",
        *parts,
        classes=SYMBOLS,
        forms=((length + 2 * RECALLED,),),
        target=0.99,
        vocabulary=SYMBOLS + 2,
        normalisation="ids of the symbols",
        version=MADE,
    )


def _length(spec: str, length: int | None, least: int) -> int:
    length = LENGTH if length is None else length
    if length < least:
        raise FaninValueError(f"data={spec!r} asks for a length of {length}, but it must be at least {least}")
    return length
