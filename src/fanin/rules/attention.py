"""Attention: queries, keys and values as weights of their own, and weights that mimic those of trained transformers."""

import re

import numpy as np

from fanin.distributions import Built, Distribution
from fanin.draws.layout import block_shape, from_blocks, to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Source, builder
from fanin.rules.arguments import choice_check, number_check, numbers_check, whole_check
from fanin.rules.blocks import cut, inner_check, inner_laws, stack_of, stacked, worst
from fanin.rules.fans import axes_of
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

PARTS = ("qkv", "q", "k", "v", "out")
# What the last name of a projection says of it, in the field's code bases; looked at for the part only, never for fans.
NAMES = (
    ("qkv", r"(in_proj|qkv|c_attn|query_key_value|w?qkv_proj)"),
    ("q", r"(q|q_proj|query|wq|to_q|q_lin|linear_q)"),
    ("k", r"(k|k_proj|key|wk|to_k|k_lin|linear_k)"),
    ("v", r"(v|v_proj|value|wv|to_v|v_lin|linear_v)"),
    ("out", r"(out|proj|out_proj|o_proj|c_proj|wo|to_out|out_lin|dense|o)"),
)


def _sizes(slot: Slot, sizes: tuple[float, ...]) -> tuple[int, ...] | int:
    """Outputs of q, k and v, or how many blocks of one size there are."""
    if sizes:
        return tuple(int(size) for size in sizes)
    stack = stack_of(slot)
    return stack if stack > 1 else 3 if slot.parts == "qkv" or _part_by_name(slot) == "qkv" else 1


def _qkv_promise(slot: Slot, inner: str, sizes: tuple[float, ...]) -> Promise:
    axis, blocks = cut(slot, "qkv_blocks", _sizes(slot, sizes), "queries, keys and values")
    return worst(inner, blocks, axis)


@rule(
    promise=_qkv_promise,
    checks={
        "inner": inner_check,
        "sizes": numbers_check(
            "whole numbers of at least 1, the outputs of q, k and v, or nothing",
            lambda row: all(size >= 1 and size == int(size) for size in row),
        ),
    },
    samples=({}, {"inner": "xavier_uniform; xavier_uniform; lecun_normal"}),
)
def qkv_blocks(slot: Slot, inner: str = "xavier_uniform", sizes: tuple[float, ...] = ()) -> Distribution:
    """Queries, keys and values drawn for themselves, stored as one weight or as three.

    Xavier's rule on PyTorch's fused (3d, d) weight takes 3d for the outputs, which makes queries, keys and values too small by √½ against
    three weights of (d, d): attention's scores by ½. A projection that is stored apart is drawn by the rule as it is.

    Formula:
        W = [W_q; W_k; W_v], each ~ inner

    Args:
        inner: spec of the rule for each, or three with ";" between.
        sizes: outputs of q, k and v where they differ, as with grouped queries (512, 128, 128); nothing: as the traced layer or the axes
            say.

    Raises:
        FaninValueError: for a weight that cannot be cut so, or where a rule cannot serve a block.

    Promise:
        Each of the three keeps the promise of its own rule.

    Paper:
        Glorot & Bengio 2010 per projection; timm's mode "moco" after Chen, Xie & He 2021 (MoCo v3); pytorch issue 166378.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(qkv_blocks(sizes=(64, 64, 64)), (192, 64), seed=0, name="in_proj_weight")
        >>> round(float(abs(w).max()) ** 2 * 128, 1)      # bound² = 6 / (64 + 64)
        6.0
    """
    axis, blocks = cut(slot, "qkv_blocks", _sizes(slot, sizes), "queries, keys and values")
    return stacked(inner_laws(inner, blocks, "qkv_blocks"), blocks, axis)


def _projection(slot: Slot) -> tuple[str, str]:
    """(name of the attention module, name of the projection within it), from the weight's name."""
    module, _, last = slot.name.rpartition(".")
    for ending in ("_weight", "_kernel"):  # torch keeps projections as parameters of the attention itself
        if last.endswith(ending):
            return module, last.removesuffix(ending)
    outer, _, projection = module.rpartition(".")
    return outer, projection


def _part_by_name(slot: Slot) -> str | None:
    last = re.sub(r"\.\d+$", "", _projection(slot)[1])
    return next((part for part, pattern in NAMES if re.fullmatch(pattern, last)), None)


def _part(slot: Slot, part: str | None) -> str:
    found = part or ("qkv" if slot.parts == "qkv" else _part_by_name(slot))
    if found is None:
        raise FaninValueError(
            f"mimetic: it cannot be told from the name {slot.name!r} which projection this is; give part, one of "
            f"{', '.join(map(repr, PARTS))}"
        )
    return found


def _target(source: Source, label: str, width: int, alpha: float, beta: float) -> tuple[Array, Array]:
    """L and R with L R = alpha Z + beta I, Z ~ N(0, 1 / width), split evenly by its singular values."""
    z = source(label, (width, width)) / np.sqrt(width)
    u, s, v = np.linalg.svd(alpha * z + beta * np.eye(width))
    return u * np.sqrt(s), np.sqrt(s)[:, None] * v


@builder
def mimetic_projection(
    axes: Axes, source: Source, part: float, heads: float, a_qk: float, b_qk: float, a_vo: float, b_vo: float
) -> Array:
    """q, k, v, all three, or the output projection, of one attention with one source."""
    stack, _, width, _ = block_shape(axes)
    size, wanted = width // int(heads), PARTS[int(part)]
    blocks: dict[str, Array] = {}
    if wanted in ("qkv", "q", "k"):
        pairs = [_target(source, f"scores {h}", width, a_qk, b_qk) for h in range(int(heads))]
        blocks["q"] = np.concatenate([left[:, :size].T for left, _ in pairs])
        blocks["k"] = np.concatenate([right[:size] for _, right in pairs])
    if wanted in ("qkv", "v", "out"):
        blocks["out"], blocks["v"] = _target(source, "values", width, a_vo, -b_vo)
    made = np.stack([blocks[name] for name in (("q", "k", "v") if wanted == "qkv" else (wanted,))])
    return from_blocks(made.reshape(stack, width, width, 1), axes)


def _mimetic_axes(slot: Slot, part: str, heads: int) -> Axes:
    axes = axes_of(slot, "mimetic")
    stack, out, in_, field = block_shape(axes)
    if (
        stack == 1 and part == "qkv" and out == 3 * in_ and axes.spec in ("oi", "io")
    ):  # fused, and the axes do not say so
        axes = Axes.parse(axes.spec.replace("o", "(s3o)"), slot.shape)
        stack, out, in_, field = block_shape(axes)
    if out != in_ or field > 1 or stack != (3 if part == "qkv" else 1) or in_ < 1:
        raise FaninValueError(
            f"mimetic cannot fill {slot.name!r} of shape {slot.shape} as {part!r}; it takes projections from the model's width to the "
            "same width (three of them for 'qkv')"
        )
    if in_ % heads:
        raise FaninValueError(f"mimetic: heads={heads!r} does not divide the width {in_} of {slot.name!r}")
    return axes


def _mimetic_promise(
    slot: Slot, heads: int, part: str | None, alpha: float, beta: float, alpha_values: float, beta_values: float
) -> tuple[Promise, ...]:
    which = _part(slot, part)
    axes = _mimetic_axes(slot, which, heads)

    def crossed(weight: Array, slot: Slot) -> float:
        """How far the rows of each head's query, key or value (the columns of the output) are from orthogonal."""
        blocks = to_blocks(weight, axes)[..., 0]
        blocks = blocks.swapaxes(-1, -2) if which == "out" else blocks
        # queries and keys head by head, values whole
        size = blocks.shape[-1] // heads
        worst = 0.0
        for k, block in enumerate(blocks):
            whole = which in ("v", "out") or (which == "qkv" and k == 2)
            for rows in [block] if whole else block.reshape(heads, size, -1):
                gram = rows @ rows.T
                worst = max(worst, float(np.abs(gram - np.diag(np.diag(gram))).max()))
        return worst

    def balance(weight: Array, slot: Slot) -> float:
        """How differently queries and keys are scaled, direction by direction."""
        q, k, _ = to_blocks(weight, axes)[..., 0]
        return float(np.abs((q**2).sum(axis=1) - (k**2).sum(axis=1)).max())

    size = alpha + beta + alpha_values + beta_values
    promised = (values(0.0, crossed, "the rows of each head are orthogonal to each other", 2e-5 * (1 + 4 * size)),)
    if which == "qkv":
        promised = (
            *promised,
            values(0.0, balance, "queries and keys share the scores' singular values evenly", 2e-5 * (1 + 4 * size)),
        )
    return promised


@rule(
    promise=_mimetic_promise,
    checks={
        "heads": whole_check(1),
        "part": lambda rule, field, value: None if value is None else choice_check(PARTS)(rule, field, value),
        **{
            name: number_check("a finite number of at least 0", lambda x: x >= 0)
            for name in ("alpha", "beta", "alpha_values", "beta_values")
        },
    },
    samples=({"heads": 2, "part": "q"}, {"heads": 2, "part": "qkv"}),
)
def mimetic(
    slot: Slot,
    heads: int,
    part: str | None = None,
    alpha: float = 0.7,
    beta: float = 0.7,
    alpha_values: float = 0.4,
    beta_values: float = 0.4,
) -> Distribution:
    """Attention that looks like a trained one: scores favour a token itself, values come back with their sign turned.

    In trained transformers W_qᵀ W_k is near a positive multiple of the identity and W_out W_v near a negative one. Each product is drawn,
    and split by its singular values; a head's queries and keys take as many directions as the head has. The projections of one
    attention are drawn from one stream, so all of them need this rule and one seed: they are taken to be of one attention where their
    names share everything before the projection ("blocks.0.attn.qkv.weight" and "blocks.0.attn.proj.weight").

    The product that is drawn is the one that acts on tokens, W_out · W_v. Ports that put V and Proj of X V Proj = X (αZ - βI) into
    PyTorch's weights without transposing them get R L in place of L R, which has the same eigenvalues but is not near -βI.

    Formula:
        for each head: W_qᵀ W_k ≈ alpha Z + beta I;   W_out W_v = alpha_values Z - beta_values I,  Z ~ N(0, 1 / d)
        U S Vᵀ = the product: W_q = (U √S)[:, :d / heads]ᵀ, W_k = (√S Vᵀ)[:d / heads], W_out = U √S, W_v = √S Vᵀ

    Args:
        heads: number of heads.
        part: which projection this is: "qkv" (fused), "q", "k", "v" or "out"; None: as the traced layer or the weight's name says.
        alpha, beta: shares of noise and identity in the scores.
        alpha_values, beta_values: the same for values and output.

    Raises:
        FaninValueError: for projections between different widths, heads that do not divide it, or a name that does not tell the part.

    Promise:
        The rows of each head are orthogonal to each other, queries and keys sharing the singular values evenly; W_out W_v has the mean
        -beta_values on its diagonal and N(0, alpha_values² / d) beside it.

    Paper:
        Trockman & Kolter 2023, "Mimetic initialization of self-attention layers", section 4, equations 5 to 8.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> qkv = draws.draw(mimetic(4, "qkv"), (192, 64), seed=0, name="attn.qkv.weight", axes="(s3o)i")
        >>> out = draws.draw(mimetic(4, "out"), (64, 64), seed=0, name="attn.proj.weight")
        >>> round(float(np.diag(out @ qkv[128:]).mean()), 1)
        -0.4
    """
    which = _part(slot, part)
    axes = _mimetic_axes(slot, which, heads)
    numbers = (float(PARTS.index(which)), float(heads), alpha, beta, alpha_values, beta_values)
    return Built("mimetic_projection", axes, numbers, f"{_projection(slot)[0]}:attention")
