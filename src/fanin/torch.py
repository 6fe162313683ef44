"""fanin in PyTorch's own idiom: every rule as a function that fills a tensor in place, and `init_` for a whole module.

    fanin.torch.he_normal_(layer.weight, nonlinearity="gelu", seed=0, name="layer.weight")
    fanin.torch.orthogonal_(conv.weight, generator=generator)
    fanin.torch.mirrored_([net[0].weight, net[2].weight, net[4].weight], nonlinearity="relu")
    fanin.torch.init_(model, "he_normal", seed=0)
    model.apply(functools.partial(fanin.torch.init_weights, plan=plan, root=model))
    fanin.torch.adapters_(peft_model, "pissa")      # or pissa_(a, b, weight), olora_, mica_: they start from the weight's values

The functions are made from `fanin.rules`: `<rule>_`, and `<alias>_` for PyTorch's names (`kaiming_normal_`). They fill the
tensor under `no_grad` and return it. Arguments by position are those that stand at the same place in `torch.nn.init`; all
others go by name. With a `seed`, no random state is read or changed, and the numbers depend on seed, `name`, shape and rule
alone; without one, the seed is one 64-bit number taken from `generator`, or from torch's default generator.

A weight that is computed from others (weight norm, spectral norm, `parametrize`) cannot be filled by these functions: what
`layer.weight` gives is a new tensor, and numbers written to it are lost. They say so where autograd knows of the computation. Under
`torch.no_grad()`, for frozen weights, for `layer.weight.data`, and for the old `nn.utils.spectral_norm` before its first pass nothing
tells that tensor from a plain one, and nothing is said. Use `init_(layer, rule)` or a plan for such layers: they set the tensors
behind the weight.

What a tensor's axes mean is taken from its number of dimensions ("oi", "oik", …: `nn.Linear` and plain convolutions) unless
`axes` says otherwise. Better, let `fanin.plan` watch the op that consumes the weight.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from fanin.draws.torch import check_generator, take_key
from fanin.errors import FaninError, FaninTypeError
from fanin.plans.torch.edits import edit
from fanin.plans.torch.fill import fill_chain, fill_tensor, meaning_of
from fanin.plans.torch.init import init_ as _init
from fanin.plans.torch.init import init_weights
from fanin.plans.torch.low_rank import adapters_, mica_, olora_, pissa_
from fanin.plans.torch.new_rows import check_rows, fill_new_rows
from fanin.rules import load_all
from fanin.rules.registry import doc_parts
from fanin.rules.rule import ALIASES, FACTORIES, FACTS, Rule
from fanin.slots import Axes, Slot

P = ParamSpec("P")
R = TypeVar("R")

JOINT = {"mirrored"}  # rules for several weights at once: they have a function of their own below
# Names that torch.nn.init has for something else: its bounds are absolute (`normal_between_` has them), and its order of
# arguments another.
OTHERS = {"trunc_normal", "random_normal", "random_uniform", "looks_linear"}
THEIRS = {"value": "val"}  # what torch.nn.init calls it
SHAPES = ((64, 32), (64, 64), (64, 32, 3, 3), (64, 64, 3, 3), (64,))  # that examples are tried with
EXTRA = ("axes", "generator", "seed", "name")

# The parts of the functions' documentation that they share.
FILLS = """Fills `tensor` in place, under `no_grad`, and returns it. A tensor on the meta device or without elements is left alone,
with a warning."""
TENSOR = "    tensor: what to fill; any real floating-point type (complex ones for orthogonal weights), any device.\n"
KEYS = """    axes: what the tensor's axes mean, such as "io" for x @ W or "(s8o)ikk" for 8 groups; else by dimensions ("oi", "oik").
    generator: where the seed is taken from without `seed`; torch's default generator if None.
    seed: from 0 to 2**64 - 1; the same seed, name, shape and rule give the same numbers, and no random state is touched.
    name: of the weight. Give each weight its own under one seed: equal names and shapes get equal numbers."""


def _eager(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run outside of the graphs of `torch.compile`: a draw is arithmetic with integers of 64 bits."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():  # asked first: `disable` loads the compiler, which takes seconds
            outside: Any = torch.compiler.disable(function)
            return outside(*args, **kwargs)
        return function(*args, **kwargs)

    return run


@_eager
def mirrored_(
    tensors: Sequence[Tensor],
    nonlinearity: Any = "relu",
    *,
    first: float | None = None,
    head: float | None = None,
    gain: float | None = None,
    pair: bool | None = None,
    axes: Sequence[str | Axes | None] | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    names: Sequence[str] | None = None,
) -> list[Tensor]:
    """Fill the weights of a plain chain in place with mirrored halves ("looks-linear"); see `fanin.rules.mirrored`.

    Args:
        tensors: the weights, from the first layer to the head, with nothing but activations between them. Where the inputs
            of one are a multiple of the outputs before (a flatten of channels first), its pairs follow the channels.
        nonlinearity: the activation after every weight but the last, or one for each of those places.
        first, head, gain, pair: as in `fanin.rules.mirrored`.
        axes: one spec for each tensor; by the number of dimensions where None.
        generator, seed: as everywhere in `fanin.torch`.
        names: one for each tensor; "0", "1", … where None.

    Returns:
        The tensors.

    Raises:
        FaninValueError: the tensors do not follow each other, or the activation has no slope to hand on.

    Paper:
        Balduzzi et al. 2017, "The shattered gradients problem"; for activations other than ReLU, fanin's design.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> _ = mirrored_([net[0].weight, net[2].weight, net[4].weight], "relu", seed=0)
        >>> _ = [nn.init.zeros_(net[k].bias) for k in (0, 2, 4)]
        >>> x = torch.randn(5, 8)
        >>> bool(torch.allclose(net(2 * x), 2 * net(x), atol=1e-5) and torch.allclose(net(-x), -net(x), atol=1e-5))
        True
    """
    rule = FACTORIES["mirrored"](first=first, head=head, gain=gain, pair=pair)
    return fill_chain(tensors, nonlinearity, rule, axes=axes, generator=generator, seed=seed, names=names)


@_eager
def init_(
    module: nn.Module,
    rule: Any,
    *,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> nn.Module:
    """Draw the weights of a module and its children from one rule, in place; biases become zeros, scales of norms ones.

    Fans come from the kind of each module (`Linear`, `Conv`, `ConvTranspose`, `Embedding`, `MultiheadAttention`, `LSTM`, …),
    groups and strides included, and weights behind weight norm are set through it. Parameters of kinds that are not known
    keep their values only if they are no weights (one dimension); otherwise an error names them. Left alone are parameters that
    are marked as done (`_is_hf_initialized`, `_no_reinit`). Running statistics of norms start again. Of tied weights an embedding
    tells the fans and the padding row.

    Args:
        module: what to fill.
        rule: a rule, a distribution, or the text of a rule ("he_normal(nonlinearity='gelu')").
        seed: of the draws; each weight's own numbers come from its name in `module`.
        generator: where the seed is taken from without `seed`.
        branches: what the residual branches are, which nobody sees without a watched pass: a pattern over modules' paths that are
            each a whole branch, or a list of patterns and of tuples of them, the modules of a branch in the order in which they are
            called: [("blocks.*.up", "blocks.*.down")]. Without it a rule's requirement of branches (ReZero's scalars) is
            required of each, wherever they are; () says that there are none.

    Returns:
        The module.

    Raises:
        FaninValueError: a weight's axes are not known from its module, branches fit no modules, or the rule needs an architecture
            that it does not have (u-muP, DKS; ReZero's scalars, Fixup without norms); `fanin.plan(model, batch)` watches the ops
            instead. Nothing was changed.

    Example:
        >>> net = init_(nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), "he_normal", seed=0)
        >>> round(float(net[0].weight.std()) * 16, 2)
        1.0
    """
    return _init(module, rule, seed=seed, generator=generator, branches=branches)


@_eager
def new_rows_(
    tensor: Tensor,
    old: int,
    *,
    spread: float = 1e-9,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Fill the rows of a table that were added for new tokens, from the mean and the covariance of the old ones, in place.

    Args:
        tensor: the whole table, (rows, width), the old rows first.
        old: how many rows have values; they are left alone.
        spread: factor on the covariance: 1e-9 puts new rows almost at the mean, 1 as far from it as the old ones are.
        generator, seed, name: as everywhere in `fanin.torch`.

    Returns:
        The table.

    Raises:
        FaninTypeError, FaninValueError: it is no such table, or has no old row; it is left as it was.

    Paper:
        Hewitt 2021, "Initializing new word embeddings for pretrained language models".

    Example:
        >>> table = torch.cat([torch.randn(100, 8) + 3, torch.zeros(2, 8)])
        >>> bool((new_rows_(table, 100, seed=0)[100:] - table[:100].mean(0)).abs().max() < 1e-3)
        True
    """
    check_generator(generator)
    check_rows(tensor, old)
    key = take_key(generator) if seed is None else seed
    return fill_new_rows(tensor, old, seed=key, name=name or "", spread=spread)


def _in_place(name: str, label: str) -> Callable[..., Tensor]:
    """The in-place function of one rule, under the name `label`."""
    factory = FACTORIES[name]
    parameters = list(inspect.signature(factory).parameters.values())
    theirs = getattr(nn.init, label, None)
    agreed = list(inspect.signature(theirs).parameters)[1:] if theirs is not None else []
    same = 0
    while same < min(len(parameters), len(agreed)) and agreed[same] in (
        parameters[same].name,
        THEIRS.get(parameters[same].name),
    ):
        same += 1
    first = inspect.Parameter("tensor", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Tensor)
    by_name = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters[same:]]
    kinds = (str | Axes | None, torch.Generator | None, int | None, str | None)
    extra = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for n, kind in zip(EXTRA, kinds, strict=True)
    ]
    signature = inspect.Signature([first, *parameters[:same], *by_name, *extra], return_annotation=Tensor)

    def function(*args: Any, **kwargs: Any) -> Tensor:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise FaninTypeError(f"{label}: {error}; it takes {signature_text(signature)}") from None
        tensor = given.pop("tensor")
        extra = {n: given.pop(n, None) for n in EXTRA}
        return fill_tensor(tensor, factory(**given), **extra)

    function.__name__ = function.__qualname__ = label
    function.__module__ = __name__
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__doc__ = _doc(name, label, factory)
    return _eager(function)


def signature_text(signature: inspect.Signature) -> str:
    """The parameters without their annotations."""
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(plain))


def _doc(name: str, label: str, factory: Callable[..., Rule]) -> str:
    """The documentation of an in-place function: the rule's own, with the tensor and what goes with it among the arguments."""
    summary, body, own, rest = doc_parts(factory)
    parts = [summary, FILLS, body, f"Args:\n{TENSOR}{own}{KEYS}", rest]
    example = _example(name, label)
    return "\n\n".join(part for part in [*parts, example] if part)


load_all()


def _example(name: str, label: str) -> str:
    """A call that works: the first shape that the rule serves without knowing more of the model; empty where there is none."""
    given = dict(FACTS[name].samples[0])
    for shape in SHAPES:
        try:
            FACTORIES[name](**given)(Slot("fc.weight", shape, "float32", "weight", axes=meaning_of(None, shape)))
        except FaninError:
            continue
        shown = "".join(f"{key}={value!r}, " for key, value in given.items())
        sizes = ", ".join(map(str, shape))
        return f'Example:\n    >>> w = {label}(torch.empty({sizes}), {shown}seed=0, name="fc.weight")\n'
    return ""


def _made(label: str) -> Callable[..., Tensor] | None:
    """The function of this name; None where no rule has one."""
    short = label.removesuffix("_")
    name = ALIASES.get(short, short)
    known = label.endswith("_") and name in FACTORIES and name not in JOINT and short not in OTHERS
    return _in_place(name, label) if known else None


FUNCTIONS = {f"{label}_": made for label in (*FACTORIES, *ALIASES) if (made := _made(f"{label}_")) is not None}
globals().update(FUNCTIONS)
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *sorted(FUNCTIONS),
    "adapters_",
    "edit",
    "init_",
    "init_weights",
    "mica_",
    "mirrored_",
    "new_rows_",
    "olora_",
    "pissa_",
    "take_key",
]


def __getattr__(label: str) -> Callable[..., Tensor]:
    """The function of a rule that was added after this module was imported."""
    made = _made(label) if not label.startswith("_") else None
    if made is None:
        other = (
            f"{ALIASES.get(label.removesuffix('_'), '')}_"  # what torch.nn.init has under this name is another function
        )
        near = [other] if other in __all__ else difflib.get_close_matches(label, __all__, n=1)
        raise AttributeError(
            f"module {__name__!r} has no function {label!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return made
