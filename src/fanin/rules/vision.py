"""Vision transformers: the four ways in which timm starts them, as rules for one weight."""

import math

from fanin.distributions import Distribution
from fanin.errors import FaninValueError
from fanin.rules.arguments import choice_check, number_check
from fanin.rules.constant import constant
from fanin.rules.fans import axes_of
from fanin.rules.plain import normal, truncated_normal
from fanin.rules.promise import Promise
from fanin.rules.rule import Rule, rule
from fanin.rules.scaled import uniform_fan, xavier_uniform
from fanin.slots import Slot

MODES = ("timm", "jax", "moco", "reset")
TOKENS = ("cls", "class", "dist", "reg", "prefix")  # parts of the names of tokens that are put before the patches


def _is_token(slot: Slot) -> bool:
    """Whether a position is a single token before the patches (a class token, registers), by its name, as timm tells them."""
    last = slot.name.rpartition(".")[2].lower()
    return any(word in last for word in TOKENS)


def _chosen(slot: Slot, mode: str, head_bias: float) -> Rule:
    """The rule that timm's mode gives to this weight."""
    if slot.role in ("norm_scale", "norm_shift"):
        return constant(1.0 if slot.role == "norm_scale" else 0.0)
    if slot.role in ("position", "embedding"):
        return normal(1e-6) if _is_token(slot) else truncated_normal(0.02)
    if slot.role == "bias":
        if mode == "jax" and slot.head:
            return constant(head_bias)
        return normal(1e-6) if mode == "jax" and "mlp" in slot.name else constant(0.0)
    axes = axes_of(slot, "vit")
    if axes.receptive_field > 1:  # the patches' projection
        return truncated_normal(1.0 / math.sqrt(_fan(slot))) if mode == "jax" else uniform_fan()
    if mode == "reset":
        return uniform_fan()
    if mode == "timm":
        return normal(0.02)
    return constant(0.0) if mode == "jax" and slot.head else xavier_uniform()


def _fan(slot: Slot) -> float:
    size = axes_of(slot, "vit").fan_in
    if size <= 0:
        raise FaninValueError(f"vit: {slot.name!r} of shape {slot.shape} has no inputs")
    return size


def _promise(slot: Slot, mode: str, head_bias: float) -> tuple[Promise, ...]:
    return _chosen(slot, mode, head_bias).promises(slot)


@rule(
    promise=_promise,
    checks={"mode": choice_check(MODES), "head_bias": number_check("a finite number", lambda x: True)},
    samples=tuple({"mode": mode} for mode in MODES),
)
def vit(slot: Slot, mode: str = "timm", head_bias: float = 0.0) -> Distribution:
    """Vision transformers as timm starts them, in one of its four modes, by what each weight is for.

    "jax" and "moco" draw queries, keys and values as three weights, also where they are fused. timm does so in its mode "moco" only: its
    mode "jax" reads the fans of the whole, which makes them smaller by √½ than the JAX code that it follows. A rule sees one weight, so
    it cannot give a bias PyTorch's U(±1/√fan_in) of the weight beside it (of patches in "timm" and "moco", everywhere in "reset"): biases
    are zero here, and as timm has them in the presets `vit-timm`, `vit-jax`, `vit-moco` and `vit-reset`.

    Formula:
        dense: timm N(0, .02²); jax, moco Xavier's uniform, jax with the head zero; reset U(±1/√fan_in)
        patches: jax N(0, 1 / fan_in) cut at 2 deviations; else U(±1/√fan_in)
        biases: zero, jax N(0, 1e-6²) in feed-forward layers and head_bias in the head; positions N(0, .02²), tokens N(0, 1e-6²); norms 1, 0

    Args:
        mode: "timm", "jax", "moco" or "reset".
        head_bias: jax: bias of the head; -log(classes) for heads with one sigmoid a class.

    Raises:
        FaninValueError: for a weight of which nothing is known.

    Promise:
        That of the rule that the weight is given.

    Paper:
        Dosovitskiy et al. 2021, "An image is worth 16x16 words", code; Chen, Xie & He 2021 (MoCo v3); timm's `vision_transformer.py`
        (`init_weights_vit_timm`, `_jax`, `_moco`, `_reset`).

    Example:
        >>> from fanin import draws
        >>> round(float(draws.draw(vit(), (192, 64), seed=0, name="blocks.0.attn.qkv.weight").std()), 3)
        0.02
    """
    return _chosen(slot, mode, head_bias)(slot)
