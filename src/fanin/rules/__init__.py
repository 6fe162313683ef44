"""Rules: why a weight is drawn as it is. A rule is a function from `Slot` to `Distribution`, with formula and paper.

- `constant`: constant, zeros, ones, identity, dirac
- `plain`: normal, truncated_normal, uniform
- `scaled`: normal_fan, uniform_fan, lecun_*, xavier_* (glorot_*), he_* (kaiming_*), variance_scaling
- `orthogonal`: orthogonal, delta_orthogonal
- `mirrored`: mirrored (looks-linear)

A rule of your own is a function under `@rule()`. `get`, `parse`, `table` and `explain` find rules by name.
"""

from fanin.rules.constant import constant, dirac, identity, ones, zeros
from fanin.rules.mirrored import mirrored
from fanin.rules.orthogonal import delta_orthogonal, orthogonal
from fanin.rules.plain import normal, truncated_normal, uniform
from fanin.rules.registry import RuleInfo, explain, get, parse, table
from fanin.rules.rule import Rule, rule
from fanin.rules.scaled import (
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal_fan,
    uniform_fan,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

kaiming_normal, kaiming_uniform = he_normal, he_uniform
glorot_normal, glorot_uniform = xavier_normal, xavier_uniform
trunc_normal, eye, looks_linear = truncated_normal, identity, mirrored

__all__ = [
    "Rule",
    "RuleInfo",
    "constant",
    "delta_orthogonal",
    "dirac",
    "explain",
    "eye",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "looks_linear",
    "mirrored",
    "normal",
    "normal_fan",
    "ones",
    "orthogonal",
    "parse",
    "rule",
    "table",
    "trunc_normal",
    "truncated_normal",
    "uniform",
    "uniform_fan",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
