"""The plan: an ordered map from weight to what it is drawn from and why, and what it requires of the architecture."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fanin.distributions import Distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.adapters import applier
from fanin.plans.entries import Entry, Need, needs_of
from fanin.plans.fits import is_zero, paired_in, paired_out, shape_problems
from fanin.records import Record
from fanin.rules.requirement import Requirement
from fanin.slots import Slot

SEED_LIMIT = 2**64


@dataclass(frozen=True)
class Plan(Record):
    """What to draw every weight from. Weights without an entry keep their values.

    Attributes:
        entries: weight name → entry, in the model's order.
        seed: the seed that `apply` uses unless it is given one (0 ≤ seed < 2⁶⁴).
        requires: weight name → what it must be like, for every entry.
        notes: what the plan leaves alone and other facts worth knowing, one sentence each.
        slots: what the plan was made from, where that is still known (not saved, not compared).
        architecture: what the model must have besides its weights, such as a scalar on every branch (see `fanin.torch.edit`).

    Example:
        >>> from fanin.distributions import Constant
        >>> plan = Plan({"fc.weight": Entry(Constant(0.0), "as a test")}, requires={"fc.weight": Need((2, 3))})
        >>> Plan.from_dict(plan.to_dict()) == plan
        True
    """

    entries: dict[str, Entry]
    seed: int = 0
    requires: dict[str, Need] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = field(default=(), compare=False, repr=False)
    architecture: tuple[Requirement, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < SEED_LIMIT:
            raise FaninValueError(f"seed={self.seed!r} cannot be used; it must be a whole number from 0 to 2**64 - 1")
        wrong = [
            f"{name}: {problem}"
            for name, need in self.requires.items()
            if name in self.entries
            for problem in shape_problems(self.entries[name].distribution, need.shape)
        ]
        wrong += [
            f"{name}: its {label}={value!r} is not a finite number"
            for name, entry in self.entries.items()
            for label, value in (("lr_scale", entry.lr_scale), ("multiplier", entry.multiplier))
            if not isinstance(value, int | float) or value != value or abs(value) == float("inf")
        ]
        if wrong:
            raise FaninValueError("the plan does not fit its weights: " + "; ".join(wrong))

    @classmethod
    def of(
        cls,
        slots: Iterable[Slot],
        entries: Mapping[str, Entry],
        *,
        seed: int = 0,
        notes: Iterable[str] = (),
        architecture: Iterable[Requirement] = (),
    ) -> "Plan":
        """A plan for a trace's slots: entries in the slots' order, requirements from the slots, chains validated.

        Raises:
            FaninValueError: an entry names no slot, does not fit its shape, or mirrored neighbours do not agree.
        """
        slots = tuple(slots)
        by_name = {name: slot for slot in slots for name in (slot.name, *slot.names)}
        if len({slot.name for slot in slots}) != len(slots):
            twice = sorted({s.name for s in slots if [t.name for t in slots].count(s.name) > 1})
            raise FaninValueError(f"slots: the name {', '.join(twice)} is used twice")
        unknown = sorted(set(entries) - set(by_name))
        if unknown:
            raise FaninValueError(f"entries name weights that the model does not have: {', '.join(unknown)}")
        needs = needs_of(slots)
        chosen: dict[str, Entry] = {}
        given: dict[str, str] = {}
        for name, entry in entries.items():
            slot = by_name[name].name
            if slot in given:
                raise FaninValueError(f"entries: {given[slot]} and {name} are one (tied) weight, which has one entry")
            given[slot], chosen[slot] = name, entry
        ordered = {slot.name: chosen[slot.name] for slot in slots if slot.name in chosen}
        plan = cls(ordered, seed, {name: needs[name] for name in ordered}, tuple(notes), slots, tuple(architecture))
        broken = plan.broken_chains()
        if broken:
            raise FaninValueError("mirrored neighbours do not agree: " + "; ".join(broken))
        return plan

    def broken_chains(self) -> tuple[str, ...]:
        """Where one weight pairs its units and the weight that they feed does not expect pairs, or the other way round."""
        broken: list[str] = []
        for name, need in self.requires.items():
            before = self.entries.get(need.fed_by) if need.fed_by else None
            after = self.entries.get(name)
            if before is None or after is None or is_zero(before.distribution) or is_zero(after.distribution):
                continue
            made, expected = paired_out(before.distribution), paired_in(after.distribution)
            if made != expected:
                if not made:
                    text = f"{name} expects paired inputs, but {need.fed_by} does not pair its outputs"
                elif not expected:
                    text = f"{need.fed_by} pairs its outputs, but {name} does not expect pairs"
                else:
                    text = f"{need.fed_by} pairs {made} units, but {name} expects pairs of {expected}"
                broken.append(text)
        return tuple(broken)

    def edit(self, edits: "Mapping[str, Entry | Distribution | None]", *, reason: str = "edited") -> "Plan":
        """A new plan with these entries replaced, added (for weights that are known) or, with None, taken out.

        Args:
            edits: weight name → entry, or distribution (which takes `reason`), or None to keep the present values.
            reason: the reason of entries that are given as bare distributions.
        """
        needs = {**needs_of(self.slots), **self.requires}
        unknown = sorted(set(edits) - set(needs))
        if unknown:
            raise FaninValueError(f"edit names weights that the plan does not know: {', '.join(unknown)}")
        entries = dict(self.entries)
        for name, new in edits.items():
            if new is None:
                entries.pop(name, None)
            elif isinstance(new, Entry):
                entries[name] = new
            elif isinstance(new, Distribution):
                entries[name] = replace(entries.get(name, Entry(new)), distribution=new, reason=reason)
            else:
                raise FaninTypeError(
                    f"edit: {name} is given {new!r}; accepted are an Entry, a Distribution, or None to keep its values"
                )
        ordered = {name: entries[name] for name in needs if name in entries}
        return replace(self, entries=ordered, requires={name: needs[name] for name in ordered})

    def apply(
        self,
        model: Any,
        seed: int | None = None,
        *,
        threads: int | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> Any:
        """Draw every entry into the model, in place, whole or not at all; returns the model.

        Weights keep their identity, dtype, device, ties and `requires_grad`; no random state is read or changed.
        Weights behind a parametrisation (weight norm) are set so that the *effective* weight is what was drawn.
        Of a sharded model (`DTensor` of any placement: FSDP2, tensor parallel, both; FSDP1 with `use_orig_params`) each
        process draws what it holds, without communication: the numbers are those of the whole model.

        Everything is checked before anything is drawn. Weights are then drawn in place, without a copy; where they are
        small (64 MB in all) a stop (Ctrl-C) puts the old values back.

        Args:
            model: the `torch.nn.Module` that the plan was made for, or one with the same weights; wrapped or not. Or an
                `nnx.Module` of Flax for a plan of `fanin.jax.plan`, or a Keras model for one of `fanin.keras.plan`; threads and
                progress are PyTorch's alone.
            seed: instead of the plan's own.
            threads: how many threads draw; torch's number where nothing is said. The numbers do not depend on it.
            progress: called with (numbers drawn, numbers in all) as it goes; True for a bar on the standard error, None
                for one where that is a terminal and it takes long, False for none.

        Raises:
            FaninValueError: weights are missing, have other shapes, ties or types, or cannot be set: all are listed,
                and nothing was changed.
        """
        other = applier(model)
        if other is not None:
            return other(self, model, seed)
        from fanin.plans.torch.apply import apply

        return apply(self, model, seed, threads=threads, progress=progress)

    def trust(self, *kinds: str) -> "Plan":
        """The plan without these requirements of the architecture (all, where none is named): the model's own code meets them.

        Args:
            kinds: such as "skip_weight", for a model that multiplies its skips by DeepNorm's α itself.
        """
        known = sorted({need.kind for need in self.architecture})
        unknown = sorted(set(kinds) - set(known))
        if unknown:
            raise FaninValueError(
                f"kinds: the plan requires no {', '.join(unknown)}; it requires {', '.join(known) or 'nothing'}"
            )
        return replace(self, architecture=tuple(n for n in self.architecture if kinds and n.kind not in kinds))

    def param_groups(self, model: Any, lr: float, weight_decay: float = 0.0, **options: Any) -> list[dict[str, Any]]:
        """Parameter groups for a torch optimizer, with the learning rate of each weight times its entry's `lr_scale`.

        Args:
            model: the module that the plan was made for; weights without an entry get `lr` as it is.
            lr: learning rate of a weight with `lr_scale` 1.
            weight_decay: of weights with `lr_scale` 1; it is divided by `lr_scale`, so that lr · weight_decay, by which AdamW
                shrinks a weight in a step, is the same for all. Biases and scales of norms get none.
            options: put into every group, such as `betas`.

        Returns:
            `torch.optim.AdamW(plan.param_groups(model, lr=1e-3))` takes them.
        """
        from fanin.plans.torch.groups import param_groups

        return param_groups(self, model, lr, weight_decay, options)

    def materialize(
        self,
        model: Any,
        mesh: Any = None,
        device: Any = None,
        *,
        seed: int | None = None,
        restore: Callable[[Any], object] | None = None,
        threads: int | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> Any:
        """Give a model on the meta device memory and draw it, each process its own shards only; returns the model.

        What has values already keeps them. Parameters stay tied. Buffers that constructors computed on the meta device
        (rotary frequencies, running means) are computed again by the modules' own functions (`reset_parameters`,
        `_init_weights` and the like); where none does, nothing is changed and an error names them.
        Call it in place of `to_empty()`: memory from there cannot be told from values, so buffers keep it (a warning names those
        that do not hold what their modules compute).

        Args:
            model: a `torch.nn.Module` with parameters on the meta device, sharded already (`fully_shard`,
                `parallelize_module`, `distribute_tensor`) or not.
            mesh: a `DeviceMesh` that a model which is not yet sharded is spread over (`fully_shard`; with two axes,
                replicas of shards); one that is sharded already must lie within it.
            device: where the weights shall be: the mesh's kind of device, or the CPU, where nothing is said.
            seed: instead of the plan's own.
            restore: called with (a stand-in of) each module that has buffers without values, to compute them.
            threads, progress: as for `apply`.

        Raises:
            FaninValueError: the plan does not fit the model or leaves parameters or buffers without values, or the mesh
                does not match the model; nothing was changed.
        """
        from fanin.plans.torch.materialize import materialize

        return materialize(self, model, mesh, device, seed=seed, restore=restore, threads=threads, progress=progress)

    def stream(
        self,
        path: str | os.PathLike[str],
        model: Any = None,
        *,
        seed: int | None = None,
        dtype: str | None = None,
        shard_size: int | str = "5GB",
        threads: int | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> Path:
        """Draw every entry straight into safetensors files, without a model: the numbers that `apply` gives.

        Files grow under a temporary name and take their place when all are whole, the index last. A stream that was
        stopped goes on where it was when it is started again; one that the disk is too full for leaves nothing behind.
        Elementwise weights are drawn a few megabytes at a time. An orthogonal, mirrored or centred one of more than 2^24
        numbers is drawn in strips of so many, which equal the whole to 1e-6; one built by a function is in memory whole.

        Args:
            path: a folder (`model.safetensors`, or `model-00001-of-000NN.safetensors` and an index, as transformers
                names them), or the name of one `.safetensors` file.
            model: with it, the files are a whole checkpoint of it: what the plan leaves alone and has values is written
                too, and it is an error where something has none.
            seed: instead of the plan's own.
            dtype: of every weight, such as "bfloat16"; their own where nothing is said.
            shard_size: bytes of a file, such as "5GB".
            threads: how many threads draw and write; OMP_NUM_THREADS, or all cores, where nothing is said.
            progress: as for `apply`.

        Returns:
            The folder.

        Raises:
            FaninValueError: weights cannot be written, the place is taken, or the disk is full.
        """
        from fanin.plans.stream import stream

        return stream(
            self, path, model, seed=seed, dtype=dtype, shard_size=shard_size, threads=threads, progress=progress
        )

    def to_python(self) -> str:
        """Plain torch code, without fanin, that draws every weight from the same distribution (other numbers).

        The code defines `init_weights(model, generator=None)` for the bare model (not compiled or wrapped), with the
        reason beside each weight. Weights behind weight norm are set through it; other parametrised weights, which
        only `apply` can set, make the code stop with torch's own error.

        Raises:
            FaninValueError: the plan does not know the shapes of its weights (see `Plan.of`).
        """
        from fanin.plans.torch.source import to_python

        return to_python(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a JSON file, whole or not at all."""
        from fanin.plans.files import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """The plan in a file; raises `FaninValueError` for a damaged file or one of another version."""
        from fanin.plans.files import load

        return load(path)

    def diff(self, other: "Plan") -> "PlanDiff":
        """What `other` adds to, takes from and changes in this plan."""
        if not isinstance(other, Plan):
            raise FaninTypeError(f"other={other!r} cannot be used; a plan is compared with another Plan")
        return PlanDiff(
            added={n: e for n, e in other.entries.items() if n not in self.entries},
            removed={n: e for n, e in self.entries.items() if n not in other.entries},
            changed={n: (e, other.entries[n]) for n, e in self.entries.items() if other.entries.get(n, e) != e},
            seeds=(self.seed, other.seed),
        )

    def to_dict(self) -> dict[str, Any]:
        """This plan as JSON-ready data, without the slots that it was made from."""
        data = super().to_dict()
        del data["slots"]
        if not self.architecture:
            del data["architecture"]
        return data

    def __str__(self) -> str:
        from fanin.plans.describe import plan_text

        return plan_text(self)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True)
class PlanDiff(Record):
    """The difference between two plans.

    Attributes:
        added: entries that only the second has.
        removed: entries that only the first has.
        changed: (before, after) where both have an entry and it differs.
        seeds: the seeds of both.
    """

    added: dict[str, Entry]
    removed: dict[str, Entry]
    changed: dict[str, tuple[Entry, Entry]]
    seeds: tuple[int, int] = (0, 0)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.seeds[0] != self.seeds[1])

    def __str__(self) -> str:
        from fanin.plans.describe import diff_text

        return diff_text(self)
