"""A data set's parts as tensors on a device, and the batches that runs take from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fanin.lab.data import DataSet
from fanin.lab.training import batches, derived_seed, held_out


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
    """

    def __init__(self, examples: int, batch_size: int, seeds: Sequence[int], done: int = 0) -> None:
        self.seeds = list(dict.fromkeys(seeds))
        self.streams = [batches(examples, batch_size, derived_seed(seed, "order")) for seed in self.seeds]
        self.of_member = torch.tensor([self.seeds.index(seed) for seed in seeds])
        self.alike = len(self.seeds) == len(seeds)
        for _ in range(done):
            self.rows()

    def rows(self) -> Tensor:
        """Row numbers of the next batch, shape (distinct seeds, batch)."""
        return torch.from_numpy(np.stack([next(stream) for stream in self.streams]))

    def take(self, x: Tensor, y: Tensor, rows: Tensor, stacked: bool) -> tuple[Tensor, Tensor]:
        """The batch at these rows: (batch, …) of a single model, (members, batch, …) of a stack."""
        if not stacked:
            return x.index_select(0, rows[0].to(x.device)), y.index_select(0, rows[0].to(y.device))
        flat = rows.reshape(-1).to(x.device)
        some_x = x.index_select(0, flat).reshape(*rows.shape, *x.shape[1:])
        some_y = y.index_select(0, flat).reshape(*rows.shape, *y.shape[1:])
        if self.alike:
            return some_x, some_y
        member = self.of_member.to(x.device)
        return some_x.index_select(0, member), some_y.index_select(0, member)
