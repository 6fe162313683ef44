"""fanin in JAX's own idiom: every rule as a factory of initializers, and `init_` for a whole model of Flax NNX.

    nnx.Linear(784, 256, kernel_init=fanin.jax.he_normal(nonlinearity="gelu"), rngs=rngs)
    w = fanin.jax.orthogonal()(jax.random.key(0), (256, 256))
    w = fanin.jax.he_normal()(fanin.jax.key(0, "fc1.weight"), (784, 256))     # the numbers of every other framework
    a, b, w = fanin.jax.pissa(w, rank=8)              # an adapter that starts from its weight; olora, mica
    fanin.jax.init_(model, {"*": "he_normal", "head.*": fanin.rules.zeros()}, seed=0)

The factories are made from `fanin.rules`, under their names and JAX's (`kaiming_normal`, `glorot_uniform`). What they give is
an `Initializer`: init(key, shape, dtype=None, out_sharding=None), pure, for `jit`, `vmap` and `shard_map`, without
jax_enable_x64, for `kernel_init=` and `bias_init=` of Flax's NNX and Linen. Arguments by position are those that stand at the
same place in `jax.nn.initializers` and mean the same; all others go by name.

The key's two words are the seed (`jax.random.key(5)` is seed 5), and `key(seed, name)` makes the key of one weight. What a
shape's axes mean is said by `in_axis`, `out_axis` and `batch_axis` as in `jax.nn.initializers.variance_scaling` (all others
are receptive field), or by `axes`, such as "io", "kkio", "(s3i)o".
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
from jax.nn import initializers

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.jax_initializer import Axis, Initializer
from fanin.draws.jax_keys import named_key as key
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.jax.low_rank import mica, olora, pissa
from fanin.plans.records import Plan
from fanin.rules import load_all, parse
from fanin.rules.registry import doc_parts
from fanin.rules.requirement import Requirement
from fanin.rules.rule import ALIASES, FACTORIES, Rule
from fanin.slots import Axes, ChainLink, Pairing, Slot

JOINT = {"mirrored"}  # rules for several weights at once: an initializer sees one
OTHERS = {"truncated_normal"}  # whose argument by position means something else in JAX (the deviation before the cut)
THEIRS = {"std": "stddev", "gain": "scale"}  # what jax.nn.initializers calls it
EXTRA: dict[str, tuple[Any, Any]] = {  # argument → its default, its type
    "in_axis": (-2, int | Sequence[int]),
    "out_axis": (-1, int | Sequence[int]),
    "batch_axis": ((), int | Sequence[int]),
    "axes": (None, str | Axes | None),
    "dtype": (None, Any),
    "name": ("", str),
}

# The parts of the factories' documentation that they share.
GIVES = """Returns an initializer: init(key, shape, dtype=None, out_sharding=None) → Array."""
ARGUMENTS = """    in_axis, out_axis, batch_axis: axes (or several) of inputs, outputs and stacked blocks; all others are receptive field.
    axes: instead of them, what every axis means, such as "io", "kkio" or "(s3i)o".
    dtype: where init is given none; float32 (float64 under jax_enable_x64) if None.
    name: of the weight; that of the key (`fanin.jax.key`) if empty."""


def initializer(
    rule: str | Distribution | Callable[[Slot], Distribution],
    *,
    in_axis: Axis = -2,
    out_axis: Axis = -1,
    batch_axis: Axis = (),
    axes: str | Axes | None = None,
    dtype: Any = None,
    name: str = "",
) -> Initializer:
    """The initializer of a rule, a distribution, or the text of a rule.

    Args:
        rule: such as `fanin.rules.he_normal()`, `Normal(0.02)`, or "he_normal(mode='fan_out')".
        in_axis, out_axis, batch_axis, axes, dtype, name: as in `Initializer`.

    Raises:
        FaninValueError: the text is no rule's.
        FaninTypeError: it is none of the three.

    Example:
        >>> w = initializer("he_normal(nonlinearity='relu')")(jax.random.key(0), (512, 256))
        >>> round(float(w.std()) * 16, 2)
        1.0
    """
    if isinstance(rule, str):
        rule = parse(rule)
    if isinstance(rule, type) or rule in FACTORIES.values():
        raise FaninTypeError(
            f"rule={rule!r} cannot be used; call it first, as in {getattr(rule, '__name__', 'rule')}()"
        )
    if not isinstance(rule, Distribution) and not callable(rule):
        raise FaninTypeError(f"rule={rule!r} cannot be used; give a rule, a distribution, or a rule's text")
    return Initializer(rule, in_axis, out_axis, batch_axis, axes, dtype, name)


def mirrored(
    units: Sequence[int],
    nonlinearity: Any = "relu",
    *,
    first: float | None = None,
    head: float | None = None,
    gain: float | None = None,
    pair: bool | None = None,
    dtype: Any = None,
) -> list[Initializer]:
    """The initializers of a plain chain of weights with mirrored halves ("looks-linear"); see `fanin.rules.mirrored`.

    Args:
        units: outputs of every weight but the last. Where the inputs of one are a multiple of the outputs before, a
            flatten of channels last, its pairs follow the channels.
        nonlinearity: the activation after every weight but the last, or one for each of those places.
        first, head, gain, pair: as in `fanin.rules.mirrored`.
        dtype: as everywhere in `fanin.jax`.

    Returns:
        One initializer a weight, from the first layer to the head: one more than `units` has.

    Raises:
        FaninValueError: no units, or another number of activations; when called, shapes that do not follow each other.

    Paper:
        Balduzzi et al. 2017, "The shattered gradients problem"; for activations other than ReLU, fanin's design.

    Example:
        >>> inits, keys = mirrored([64, 64]), jax.random.split(jax.random.key(0), 3)
        >>> a, b, c = (f(k, s) for f, k, s in zip(inits, keys, ((8, 64), (64, 64), (64, 4))))
        >>> net = lambda x: jax.nn.relu(jax.nn.relu(x @ a) @ b) @ c
        >>> x = jax.random.normal(keys[0], (5, 8))
        >>> bool(abs(net(-x) + net(x)).max() < 1e-5)
        True
    """
    units = tuple(units) if isinstance(units, Sequence) else (units,)
    if not units or not all(isinstance(n, int) and n > 0 for n in units):
        raise FaninValueError(
            f"mirrored: units={units!r} cannot be used; give the outputs of every weight but the last"
        )
    each = nonlinearity if isinstance(nonlinearity, list | tuple) else [nonlinearity] * len(units)
    if len(each) != len(units):
        raise FaninValueError(f"mirrored: nonlinearity has {len(each)} elements; for these units it takes {len(units)}")
    with jax.ensure_compile_time_eval():
        functions = [None, *(Activation.of(f) for f in each), None]
    rule, count = FACTORIES["mirrored"](first=first, head=head, gain=gain, pair=pair), len(units) + 1
    links = [
        ChainLink("chain", k, count, functions[k], functions[k + 1], Pairing(units[k - 1]) if k else None)
        for k in range(count)
    ]
    return [Initializer(rule, dtype=dtype, chain=link) for link in links]


def slots(model: Any, *, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """What is known of each parameter (`nnx.Param`) of a Flax NNX model: name, shape, what its axes mean, role.

    Args:
        model: an `nnx.Module`.
        axes: as in `plan`.

    Raises:
        FaninTypeError, FaninValueError: no module, or axes that fit no parameter.

    Example:
        >>> from flax import nnx
        >>> conv = nnx.Conv(8, 16, (3, 3), feature_group_count=4, rngs=nnx.Rngs(0))
        >>> [(slot.name, slot.role) for slot in slots(conv)], slots(conv)[0].axes.fan_in
        ([('kernel', 'weight'), ('bias', 'bias')], 18.0)
    """
    from fanin.plans.jax.flax_slots import model_slots

    return model_slots(model, axes)


def plan(
    model: Any,
    rules: Any,
    *,
    seed: Any = 0,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Plan:
    """A plan for the parameters (`nnx.Param`) of a Flax NNX model; nothing is drawn.

    What the axes of a kernel mean is told by the module that owns it: `Linear`, `LinearGeneral`, `Conv` with its groups,
    `ConvTranspose` with its strides, `Einsum` by its equation, `Embed`, `MultiHeadAttention`, the recurrent cells by gates.

    Args:
        model: an `nnx.Module`.
        rules: as in `fanin.plan`: pattern over the weights' paths ("blocks.0.attn.*"), or module class, to rule; the last
            match wins, and beside weights biases become zeros and scales of norms ones. Or one rule for all weights, or a preset
            or its name where no rule has that name ("llama"), if it asks for nothing that only a watched pass tells.
        seed: of the draws: an integer from 0 to 2**64 - 1, or a key such as `jax.random.key(5)`, which is seed 5.
        axes: pattern over paths → what the axes of parameters of your own mean.
        branches: what the residual branches are, which nobody sees without a watched pass: a pattern over modules' paths that are
            each a whole branch, or a list of patterns and of tuples of them, the modules of a branch in the order in which they are
            called: [("blocks.*.up", "blocks.*.down")]. Without it a rule's requirement of branches (ReZero's scalars) is
            required of each, wherever they are; () says that there are none.

    Returns:
        The plan, for `init_`.

    Raises:
        FaninValueError: parameters need axes that their modules do not tell (all are listed), a rule cannot serve one, branches fit
            no modules, or a preset asks for what only a watched pass tells.

    Example:
        >>> from flax import nnx
        >>> print(list(plan(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), "he_normal").entries))
        ['kernel', 'bias']
    """
    from fanin.plans.jax.flax_plan import plan_model

    return plan_model(model, rules, seed=seed, axes=axes, branches=branches)


def init_(
    model: Any,
    rules: Any,
    *,
    seed: Any = None,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Any:
    """Draw the parameters of a Flax NNX model anew, in place, whole or not at all; returns the model.

    Each parameter's numbers come from the seed and its path, keep its dtype and its sharding, and no `Rngs` is read. What no
    key matches keeps its values, and so does everything that is no `nnx.Param`.

    Args:
        model: an `nnx.Module`.
        rules: as in `plan`; or a plan.
        seed: as in `plan`; the plan's own, or 0, if None.
        axes, branches: as in `plan`.

    Raises:
        FaninValueError: as in `plan`, or a plan that does not fit the model, or weights to draw that are integers (quantised
            ones); nothing was changed.

    Example:
        >>> from flax import nnx
        >>> net = init_(nnx.Linear(512, 256, rngs=nnx.Rngs(0)), "he_normal", seed=1)
        >>> round(float(net.kernel[...].std()) * 256**0.5, 2)
        1.0
    """
    from fanin.plans.jax.flax_apply import apply_plan
    from fanin.plans.jax.flax_plan import plan_model

    first = 0 if seed is None else seed
    made = (
        rules
        if isinstance(rules, Plan)
        else plan_model(model, rules, seed=first, axes=axes, branches=branches, drawn=True)
    )
    return apply_plan(made, model, seed)


def edit(model: Any, needs: Plan | Iterable[Requirement]) -> Any:
    """Give a Flax NNX model what a plan requires of its architecture, in place; returns the model.

    Modules keep their places and parameters their names; what is trainable is an `nnx.Param` beside the module's own
    (`fanin_scale`, `fanin_bias_in`, `fanin_bias_out`, Admin's `fanin_skip`) or a norm before it (`fanin_norm`); factors on products
    and skips are numbers. A norm that is taken out passes on what it gets. Activations are reshaped where a `Sequential` calls
    them or a module holds them under a name; what `__call__` calls by its own code is yours to change. What the model has already is
    left as it is. Before `nnx.split` and `nnx.jit`, and before the optimizer.

    Args:
        model: an `nnx.Module`.
        needs: the plan, or requirements. Where residual branches end nobody sees without a watched pass: say it to `plan` by
            `branches`, or by a module's path or a pattern, such as `Requirement("branch_scalar", "blocks.*.down", 0.0)` for ReZero
            and SkipInit; a factor on a skip has the branch's first module as `start`, and a reshaped activation's `where`
            may be the path of an attribute ("blocks.*.act").

    Raises:
        FaninValueError: something cannot be put in: all is listed, and nothing was changed.
        FaninTypeError: it is no `nnx.Module`, or those are no requirements.

    Example:
        >>> from flax import nnx
        >>> from fanin.rules.requirement import Requirement
        >>> net = nnx.Sequential(nnx.Linear(8, 8, rngs=nnx.Rngs(0)), nnx.relu)
        >>> net = edit(net, [Requirement("branch_scalar", "layers.0", 0.0)])
        >>> float(abs(net(jax.numpy.ones((2, 8)))).max())
        0.0
    """
    from fanin.plans.jax.flax_edits import edit_model

    return edit_model(model, needs)


# -- the factories -----------------------------------------------------------------------------------------------------


def _factory(name: str, label: str) -> Callable[..., Initializer]:
    """The factory of one rule's initializers, under the name `label`."""
    rule = FACTORIES[name]
    parameters = list(inspect.signature(rule).parameters.values())
    theirs = getattr(initializers, label, None) if label not in OTHERS else None
    agreed = list(inspect.signature(theirs).parameters) if theirs is not None else []
    if agreed[:1] == ["key"]:  # zeros and ones are initializers themselves there
        agreed = []
    same = 0
    while same < min(len(parameters), len(agreed)) and agreed[same] in (
        parameters[same].name,
        THEIRS.get(parameters[same].name),
    ):
        same += 1
    by_name = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters[same:]]
    extra = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for n, (default, kind) in EXTRA.items()
    ]
    signature = inspect.Signature([*parameters[:same], *by_name, *extra], return_annotation=Initializer)

    def factory(*args: Any, **kwargs: Any) -> Initializer:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
            raise FaninTypeError(
                f"{label}: {error}; it takes {inspect.Signature(plain)} and returns an initializer"
            ) from None
        own = {n: given.pop(n) for n in EXTRA if n in given}
        with jax.ensure_compile_time_eval():  # an activation of JAX's is asked for its values, while `jit` traces, too
            return Initializer(rule(**given), **own)

    factory.__name__ = factory.__qualname__ = label
    factory.__module__ = __name__
    factory.__signature__ = signature  # type: ignore[attr-defined]
    factory.__doc__ = _doc(name, label, rule)
    return factory


def _doc(name: str, label: str, rule: Callable[..., Rule]) -> str:
    """The documentation of a factory: the rule's own, with what goes with it among the arguments."""
    summary, body, own, rest = doc_parts(rule)
    parts = [summary, GIVES, body, f"Args:\n{own}{ARGUMENTS}", rest]
    return "\n\n".join(part for part in parts if part) + "\n"


def _made(label: str) -> Callable[..., Initializer] | None:
    name = ALIASES.get(label, label)
    return _factory(name, label) if name in FACTORIES and name not in JOINT else None


load_all()
FUNCTIONS = {label: made for label in (*FACTORIES, *ALIASES) if (made := _made(label)) is not None}
globals().update(FUNCTIONS)
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *sorted(FUNCTIONS),
    "Initializer",
    "edit",
    "init_",
    "initializer",
    "key",
    "mica",
    "mirrored",
    "olora",
    "pissa",
    "plan",
    "slots",
]


def __getattr__(label: str) -> Callable[..., Initializer]:
    """The factory of a rule that was added after this module was imported."""
    made = _made(label) if not label.startswith("_") else None
    if made is None:
        near = difflib.get_close_matches(label, __all__, n=1)
        raise AttributeError(
            f"module {__name__!r} has no rule {label!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return made
