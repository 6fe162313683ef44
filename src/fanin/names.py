"""The names of weights without what wrappers put before and into them.

A model is wrapped to be compiled, spread over devices or checkpointed, and its weights change their names; a plan
must find them all the same. Which component is a wrapper's is a table; a component that a user may have named so
himself (`module`) counts as a wrapper's only where the other names bear it out.
"""

import re
from collections.abc import Collection, Iterable

# components that only a wrapper makes, wherever they stand
WRAPPERS = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FullyShardedDataParallel",
    "_fpw_module": "FullyShardedDataParallel (before torch 1.13)",
    "_checkpoint_wrapped_module": "checkpoint_wrapper",
    "_forward_module": "Lightning Fabric",
}
LEADING = "module"  # DataParallel, DistributedDataParallel, AveragedModel, DeepSpeed: the only child of the root
BESIDE = {"n_averaged": "AveragedModel"}  # what a wrapper holds itself, beside its child
PARAMETRIZED = "parametrizations"  # torch.nn.utils.parametrize: parametrizations.<weight>.original<i>
ORIGINAL = re.compile(r"original\d*")
# torch.nn.utils.weight_norm, spectral_norm and prune, the kinds that work by hooks: weight -> weight_g and weight_v
HOOKED: tuple[tuple[str, ...], ...] = (("_g", "_v"), ("_orig",))


def canonical(name: str, among: Collection[str] | None = None) -> str:
    """A weight's name as the bare model has it: wrappers' prefixes taken off, parametrised weights under one name.

    Args:
        name: a parameter's dotted name.
        among: all parameters' names of the same model. With them, a leading `module.` is taken off only where every
            name has it (a wrapper has one child, so a user's own submodule called `module` beside others stays), and
            the halves of hooked weight norm (`weight_g`, `weight_v`) become `weight`. Without them a leading
            `module.` is taken off and halves stay as they are.

    Example:
        >>> canonical("module._orig_mod.encoder.0.weight")
        'encoder.0.weight'
        >>> canonical("conv.parametrizations.weight.original1")
        'conv.weight'
        >>> canonical("module.fc.weight", among=["module.fc.weight", "head.weight"])
        'module.fc.weight'
    """
    bare = _without_wrappers(name)
    siblings = None if among is None else {_without_wrappers(n) for n in among}
    while bare.startswith(f"{LEADING}.") and (siblings is None or _led(siblings)):
        bare = bare.removeprefix(f"{LEADING}.")
        siblings = siblings and {n.removeprefix(f"{LEADING}.") for n in siblings}
    bare = _without_parametrization(bare)
    return bare if siblings is None else _without_hook(bare, siblings)


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """Every one of a model's parameter names with its canonical form, in the same order."""
    bare = unwrapped_names(names)
    siblings = set(bare.values())
    return {n: _without_hook(_without_parametrization(b), siblings) for n, b in bare.items()}


def unwrapped_names(names: Iterable[str]) -> dict[str, str]:
    """Every one of a model's parameter names without wrappers' components; parametrised weights keep theirs."""
    bare = {n: _without_wrappers(n) for n in names}
    while _led(bare.values()):  # wrappers in wrappers
        bare = {n: b.removeprefix(f"{LEADING}.") for n, b in bare.items()}
    return bare


def _led(names: Iterable[str]) -> bool:
    """Whether all names begin as the root's only child does, but for what a wrapper holds beside it."""
    others = [n for n in names if n not in BESIDE]
    return bool(others) and all(n.startswith(f"{LEADING}.") for n in others)


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _without_parametrization(name: str) -> str:
    parts = name.split(".")
    if len(parts) >= 3 and parts[-3] == PARAMETRIZED and ORIGINAL.fullmatch(parts[-1]):
        return ".".join([*parts[:-3], parts[-2]])
    return name


def _without_hook(name: str, siblings: Collection[str]) -> str:
    for suffixes in HOOKED:
        for suffix in suffixes:
            base = name.removesuffix(suffix)
            hooked = base != name and base.rpartition(".")[2].startswith(("weight", "bias"))
            if hooked and base not in siblings and all(base + s in siblings for s in suffixes):
                return base
    return name


def plain_names(names: list[str]) -> dict[str, str]:
    """Canonical names, each raw one where two would be the same (the halves of a weight norm)."""
    short = canonical_names(names)
    count: dict[str, int] = {}
    for name in short.values():
        count[name] = count.get(name, 0) + 1
    return {raw: name if count[name] == 1 else raw for raw, name in short.items()}
