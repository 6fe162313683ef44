"""A data set's parts as tensors on a device, and the batches that runs take from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fanin.lab.data import DataSet
from fanin.lab.training import derived_seed, held_out, passes, steps_per_epoch


@dataclass(frozen=True, eq=False)
class Tensors:
    """Parts of a data set.

    Attributes:
        train_x, train_y: what is trained on.
        held_x, held_y: what curves are measured on: (a bounded part of) the validation part, of the test part where
            nothing is held out.
        seen_x, seen_y: as many training examples, for the generalisation gap.
        test_x, test_y: the whole test part.
        image: (channels, height, width) of an example, whatever form the model takes it in; None where it is no image.
    """

    train_x: Tensor
    train_y: Tensor
    held_x: Tensor
    held_y: Tensor
    seen_x: Tensor
    seen_y: Tensor
    test_x: Tensor
    test_y: Tensor
    image: tuple[int, int, int] | None = None


def tensors(data: DataSet, device: torch.device) -> Tensors:
    """The data set's parts on `device`."""

    def on(array: np.ndarray, rows: np.ndarray | slice = slice(None)) -> Tensor:
        return torch.tensor(array[rows], device=device)

    held_x, held_y = data.held_inputs, data.held_targets
    if held_x is None or held_y is None:
        held_x, held_y = data.test_inputs, data.test_targets
    some = held_out(len(held_x))
    seen = held_out(len(data.train_inputs), len(some))
    return Tensors(
        on(data.train_inputs), on(data.train_targets), on(held_x, some), on(held_y, some),
        on(data.train_inputs, seen), on(data.train_targets, seen), on(data.test_inputs), on(data.test_targets), data.image,
    )  # fmt: skip


class Orders:
    """Rows of batch after batch for the members of a job: members of one seed see the same batches.

    Args:
        examples: of the training part.
        batch_size: examples in a step.
        seeds: of the members.
        done: steps that were done before.

    Attributes:
        in_turns: whether the members go through the seeds in turns, as (0, 1, 2, 0, 1, 2).
    """

    def __init__(self, examples: int, batch_size: int, seeds: Sequence[int], done: int = 0) -> None:
        self.size, self.steps = batch_size, steps_per_epoch(examples, batch_size)
        distinct = list(dict.fromkeys(seeds))
        self.streams = [passes(examples, derived_seed(seed, "order")) for seed in distinct]
        self.turns = len(seeds) // len(distinct)
        of_member = [distinct.index(seed) for seed in seeds]
        self.of_member = torch.tensor(of_member)
        self.in_turns = of_member == [*range(len(distinct))] * self.turns
        self.done = 0  # steps of this pass
        self.order = self._next()
        for _ in range(done // self.steps):
            self.order = self._next()
        self.done = done % self.steps
        self.targets: tuple[Tensor, Tensor] | None = (
            None  # of this pass, one a member, with the targets of all examples
        )

    def _next(self) -> Tensor:
        """Rows of a whole pass, shape (seeds, examples)."""
        self.targets = None
        return torch.from_numpy(np.stack([next(stream) for stream in self.streams]))

    def _rows(self) -> tuple[Tensor, slice]:
        """Row numbers of the next batch, shape (seeds, batch), and where it stands in the pass."""
        if self.done == self.steps:
            self.order, self.done = self._next(), 0
        batch = slice(self.done * self.size, (self.done + 1) * self.size)
        self.done += 1
        return self.order[:, batch], batch

    def rows(self) -> Tensor:
        """Row numbers of the next batch, shape (members, batch)."""
        return self._rows()[0][self.of_member]

    def take(self, x: Tensor, y: Tensor, stacked: bool) -> tuple[Tensor, Tensor]:
        """The next batch: (batch, …) of a single model; of a stack (members, batch, …), but inputs of members that go in turns
        once a seed, (seeds, batch, …)."""
        rows, batch = self._rows()
        flat = rows.reshape(-1).to(x.device)
        some = x.index_select(0, flat)
        if not stacked:
            return some, y.index_select(0, flat)
        if self.targets is None or self.targets[0] is not y:  # once a pass: they are small
            self.targets = y, y[self.order[self.of_member].to(y.device)]
        some = some.view(*rows.shape, *x.shape[1:])
        if not self.in_turns:
            some = some.index_select(0, self.of_member.to(x.device))
        return some, self.targets[1][:, batch]
