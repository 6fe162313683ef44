"""fanin in Keras 3's own idiom: every rule as a class of initializers, and `init_` for a whole model.

    keras.layers.Dense(256, kernel_initializer=fanin.keras.HeNormal(nonlinearity="gelu"))
    keras.layers.DepthwiseConv2D(3, depthwise_initializer="fanin>HeNormal")         # or "fanin_he_normal"
    w = fanin.keras.Orthogonal(seed=0, name="fc1.weight")((256, 256))                # the numbers of every other framework
    fanin.keras.init_(model, {"*": "he_normal", "head.*": "zeros"}, seed=0)
    fanin.keras.adapters_(model, "pissa")              # after enable_lora: adapters that start from their weights

The classes are made from `fanin.rules`, under their names and Keras's (`GlorotNormal`), and registered for saving:
`get_config` gives plain data, and `keras.saving.load_model` finds them once `fanin.keras` is imported. Arguments by position
are those that stand at the same place in `keras.initializers`; all others go by name.

**Fans.** An initializer finds the layer that asks it, and takes what the axes of the weight mean from that layer: groups,
strides, depthwise and transposed kernels, the equation of `EinsumDense` (so the parts of `MultiHeadAttention`, too), the gates
of a recurrent cell. `axes` says it by hand ("io", "kkio", "(s3i)o"). Called by hand without `axes`, a shape is read as "io" or
as a plain convolution ("kio", "kkio", "kkkio"). Where the layer has an activation of its own (`Dense(8, activation="gelu")`), it
is what rules take that are told none. A layer of your own is asked for no more than its weight's shape: two axes are
read as "io", and more need `axes`.

**Seeds.** Without a seed every call takes one 64-bit key from Keras's global random state (`keras.utils.set_random_seed`), so
two layers that share an instance differ; Keras's own initializers would give both the same numbers. With an integer, the
numbers depend on seed, name, shape and rule alone. The name, unless given, is that of the weight in its layer ("kernel"),
after the layer's name where the user gave one ("query.kernel"): two layers without names of their own get equal numbers from
one seed and rule, as in Keras, but the second one warns. Give layers names, initializers seeds of their own, or use
`init_`. With a `keras.random.SeedGenerator` each call takes its next state.

An LSTM with `unit_forget_bias` asks for the biases of its gates apart; set it False for a rule of the whole bias, or use `init_`.
`mirrored` serves several weights at once and has no class here. A leaky ReLU has the slope 0.01 in fanin's rules and 0.2 in
`keras.activations`: give a function (`keras.activations.leaky_relu`) or write "leaky_relu(0.2)".
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras

from fanin.distributions import Distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.keras.initializers import EXTRA, PACKAGE, Drawn, Initializer, RuleInitializer
from fanin.plans.keras.low_rank import adapters_
from fanin.plans.keras.model import apply_plan, model_slots, plan_model
from fanin.plans.records import Plan
from fanin.rules import load_all, parse
from fanin.rules.arguments import as_text
from fanin.rules.registry import doc_parts
from fanin.rules.requirement import Requirement
from fanin.rules.rule import ALIASES, FACTORIES, FACTS, Rule
from fanin.slots import Axes, Slot

JOINT = {"mirrored"}  # rules for several weights at once: an initializer sees one
THEIRS = {"std": "stddev"}  # what keras.initializers calls it

# The parts of the classes' documentation that they share.
ARGUMENTS = """    axes: what the axes of the weight mean, such as "io", "kkio" or "(s3i)o"; taken from the layer that asks if None.
    seed: from 0 to 2**64 - 1, or a `keras.random.SeedGenerator`; one key a call from Keras's global random state if None.
    name: of the weight; the name of the weight that a layer asks for if None ("" by hand)."""


def initializer(rule: Any, *, axes: str | Axes | None = None, seed: Any = None, name: str | None = None) -> Initializer:
    """The initializer of a rule, a distribution, or the text of a rule.

    Args:
        rule: such as `fanin.rules.he_normal()`, `Normal(0.02)`, or "he_normal(mode='fan_out')".
        axes, seed, name: as in all classes here.

    Raises:
        FaninValueError: the text is no rule's, or the rule is for several weights at once.
        FaninTypeError: it is none of the three.

    Example:
        >>> w = initializer("he_normal(nonlinearity='relu')", seed=0)((512, 256))
        >>> round(float(keras.ops.std(w)) * 16, 2)
        1.0
    """
    if isinstance(rule, str):
        rule = parse(rule)
    if isinstance(rule, Distribution):
        return Drawn(rule, axes=axes, seed=seed, name=name)
    if not isinstance(rule, Rule):
        hint = f"; call it first, as in {rule.__name__}()" if rule in FACTORIES.values() else ""
        raise FaninTypeError(f"rule={rule!r} cannot be used; give a rule, a distribution, or a rule's text{hint}")
    return _class_of(rule.name)(**rule.arguments, axes=axes, seed=seed, name=name)


def slots(model: Any, *, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """What is known about each weight of a Keras model: its path, its role, and what its axes mean.

    Paths do not depend on what was built before in the process: a layer goes by the name that the user gave it; automatic
    names are counted from the model's first layer on ("dense", "dense_1"); in subclassed models and inside of layers, a layer
    without a name of its own goes by its attribute ("lstm.cell.kernel"). The model's own name is no part of it.

    Args:
        model: a built `keras.Model` or `keras.Layer`.
        axes: pattern over paths → what the axes of weights of your own layers mean.

    Raises:
        FaninValueError: the model is not built.
        FaninTypeError: it is no Keras model.

    Example:
        >>> net = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.DepthwiseConv2D(3), keras.layers.Dense(5)])
        >>> [(s.name, s.axes.spec if s.axes else s.role) for s in slots(net)][:3]
        [('depthwise_conv2d.kernel', 'kkso'), ('depthwise_conv2d.bias', 'bias'), ('dense.kernel', 'io')]
    """
    return model_slots(model, axes)


def plan(
    model: Any,
    rules: Any,
    *,
    seed: int = 0,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Plan:
    """A plan for the weights of a Keras model; nothing is drawn.

    Args:
        model: a built `keras.Model` or `keras.Layer`.
        rules: as in `fanin.plan`: pattern over paths ("encoder.*.kernel"), or layer class, to rule; the last match wins, and
            beside weights biases become zeros (ones at the forget gate of an LSTM with `unit_forget_bias`) and scales of norms
            ones. Or one rule for all weights, or a preset or its name where no rule has that name ("llama"), if it asks for
            nothing that only a watched pass tells.
        seed: of the draws.
        axes: as in `slots`.
        branches: what the residual branches are, which nobody sees without a watched pass: a pattern over layers' paths that are each
            a whole branch, or a list of patterns and of tuples of them, the layers of a branch in the order in which they are
            called: [("up*", "down*")]. Without it a rule's requirement of branches (ReZero's scalars) is required of each,
            wherever they are; () says that there are none.

    Raises:
        FaninValueError: weights need axes that their layers do not tell (all are listed), a rule cannot serve one, branches fit no
            layers, or a preset asks for what only a watched pass tells.

    Example:
        >>> net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
        >>> list(plan(net, "he_normal").entries)
        ['dense.kernel', 'dense.bias']
    """
    return plan_model(model, rules, seed=seed, axes=axes, branches=branches)


def init_(
    model: Any,
    rules: Any,
    *,
    seed: int | None = None,
    axes: Mapping[str, str | Axes] | None = None,
    branches: str | Sequence[str | tuple[str, ...]] | None = None,
) -> Any:
    """Draw the weights of a Keras model anew, in place, whole or not at all; returns the model.

    Each weight's numbers come from the seed and its path (see `slots`), so a model that is built twice gets the same ones.
    Statistics of norms, states of optimizers, and what no key matches keep their values.

    Args:
        model: a built `keras.Model` or `keras.Layer`.
        rules: as in `plan`; or a plan.
        seed: of the draws; the plan's own, or 0, if None.
        axes, branches: as in `plan`.

    Raises:
        FaninValueError: as in `plan`, or a plan that does not fit the model, or weights to draw that are integers (quantised
            ones); nothing was changed.

    Example:
        >>> net = keras.Sequential([keras.Input((512,)), keras.layers.Dense(256)])
        >>> _ = init_(net, "lecun_normal", seed=1)
        >>> round(float(keras.ops.convert_to_numpy(net.layers[0].kernel).std()) * 512**0.5, 2)
        1.0
    """
    first = 0 if seed is None else seed
    made = (
        rules
        if isinstance(rules, Plan)
        else plan_model(model, rules, seed=first, axes=axes, branches=branches, drawn=True)
    )
    return apply_plan(made, model, seed)


def edit(model: Any, needs: Plan | Iterable[Requirement]) -> Any:
    """Give a Keras model what a plan requires of its architecture, in place; returns the model.

    Layers keep their places and weights their paths; what is trainable is a weight beside the layer's own (`fanin_scale`,
    `fanin_bias_in`, `fanin_bias_out`, Admin's `fanin_skip`) or a norm before it (`fanin_norm`); factors on products and skips are
    numbers. A norm that is taken out passes on what it gets; its weights stay, frozen. Activations are reshaped where a layer has
    one of its own, or a layer behind it is one; what `call` calls by its own code is yours to change. What the model has already
    is left as it is. Before `compile`; a configuration holds of all this the reshaped `activation` of a layer alone, so build the
    model anew, edit it, and load its weights.

    Args:
        model: a `keras.Model` or `keras.Layer` that is built.
        needs: the plan, or requirements. Where residual branches end nobody sees without a watched pass: say it to `plan` by
            `branches`, or by a layer's path or a pattern, such as `Requirement("branch_scalar", "blocks.*.down", 0.0)` for ReZero
            and SkipInit; a factor on a skip has the branch's first layer as `start`.

    Raises:
        FaninValueError: something cannot be put in: all is listed, and nothing was changed.
        FaninTypeError: it is no Keras model, or those are no requirements.

    Example:
        >>> from fanin.rules.requirement import Requirement
        >>> net = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
        >>> net = edit(net, [Requirement("branch_scalar", "dense", 0.0)])
        >>> float(keras.ops.max(keras.ops.abs(net(keras.ops.ones((2, 8))))))
        0.0
    """
    from fanin.plans.keras.edits import edit_model

    return edit_model(model, needs)


# -- the classes -------------------------------------------------------------------------------------------------------


def _signature(rule: str, labels: Sequence[str]) -> inspect.Signature:
    """The rule's arguments, by position as far as Keras's own class of one of these names agrees, and ours by name."""
    parameters = list(inspect.signature(FACTORIES[rule]).parameters.values())
    same = 0
    for label in labels:
        theirs = getattr(keras.initializers, label, None)
        names = list(inspect.signature(theirs).parameters) if theirs is not None else []
        agreed = [a in (p.name, THEIRS.get(p.name)) for a, p in zip(names, parameters, strict=False)]
        same = max(same, [*agreed, False].index(False))
    by_name = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters[same:]]
    extra = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=t) for n, t in EXTRA.items()]
    return inspect.Signature([*parameters[:same], *by_name, *extra])


def camel(name: str) -> str:
    """A rule's name as a class: "he_normal" → "HeNormal"."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _made(rule: str) -> type[RuleInitializer]:
    """The class of one rule, registered under its name and its aliases."""
    names = [rule, *(alias for alias, of in ALIASES.items() if of == rule)]
    label = camel(rule)
    body = {
        "RULE": rule,
        "__module__": __name__,
        "__doc__": _doc(rule, FACTORIES[rule]),
        "__signature__": _signature(rule, [camel(name) for name in names]),
    }
    made = type(label, (RuleInitializer,), body)
    keras.saving.register_keras_serializable(package=PACKAGE)(made)
    strings = {f"{PACKAGE}>{camel(name)}" for name in names} | {f"{PACKAGE}_{name}" for name in names}
    keras.saving.get_custom_objects().update(dict.fromkeys(strings, made))
    return made


def _doc(rule: str, factory: Callable[..., Rule]) -> str:
    """The documentation of a class: the rule's own, with what goes with it among the arguments."""
    summary, body, own, rest = doc_parts(factory)
    sample = FACTS[rule].samples[0] if FACTS[rule].samples else {}
    shown = "".join(f"{key}={as_text(value)}, " for key, value in sample.items())
    example = (
        f"Example:\n    >>> {camel(rule)}({shown}seed=0)\n    <fanin.keras.{camel(rule)} {factory(**sample).spec}>"
    )
    parts = [summary, body, f"Args:\n{own}{ARGUMENTS}", rest, example]
    return "\n\n".join(part for part in parts if part) + "\n"


CLASSES: dict[str, type[RuleInitializer]] = {}  # the rule's name → its class


def _class_of(rule: str) -> type[RuleInitializer]:
    if rule in JOINT or rule not in FACTORIES:
        raise FaninValueError(f"rule {rule!r} is for several weights at once, and an initializer sees one")
    if rule not in CLASSES:
        CLASSES[rule] = _made(rule)
    return CLASSES[rule]


load_all()
FUNCTIONS = {
    camel(label): _class_of(name)
    for label, name in {**{n: n for n in FACTORIES}, **ALIASES}.items()
    if name not in JOINT
}
globals().update(FUNCTIONS)
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *sorted(FUNCTIONS),
    "Drawn",
    "Initializer",
    "adapters_",
    "edit",
    "init_",
    "initializer",
    "plan",
    "slots",
]


def __getattr__(label: str) -> type[RuleInitializer]:
    """The class of a rule that was added after this module was imported."""
    for name in (*FACTORIES, *ALIASES):
        if camel(name) == label and ALIASES.get(name, name) not in JOINT:
            return _class_of(ALIASES.get(name, name))
    near = difflib.get_close_matches(label, __all__, n=1)
    raise AttributeError(
        f"module {__name__!r} has no initializer {label!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    )
