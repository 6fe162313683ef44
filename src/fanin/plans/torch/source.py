"""Plans as plain torch code, with no fanin import: the same distribution for every weight, other numbers."""

import inspect
import re
import textwrap

from fanin.names import ORIGINAL, PARAMETRIZED
from fanin.plans.groups import Group, group_entries, progression
from fanin.plans.records import Plan
from fanin.plans.torch.expressions import statement

WIDTH = 110

HEADER = '''"""Initial weights in plain PyTorch, from a plan that fanin wrote."""

import torch
from torch import {names}

'''
START = '''
@torch.no_grad()
def init_weights(model: nn.Module, generator: torch.Generator | None = None) -> nn.Module:
    """Draw the weights of `model` anew, in place.

    `generator` (on the model's device) makes the numbers repeatable. Weights that are not named here keep their values.
    """
'''


def to_python(plan: Plan) -> str:
    """See `Plan.to_python`."""
    body: list[str] = []
    for group in group_entries(plan):
        body += _group(plan, group)
    body.append("return model")
    text = "\n".join(f"    {line}" if line else "" for line in body)
    helpers = _helpers(text)
    return f"{HEADER.format(names='Tensor, nn' if helpers else 'nn')}{helpers}{START}{text}\n"


def _helpers(body: str) -> str:
    """The text of the helpers that the body calls, in the order of their file."""
    from fanin.plans.torch import helpers

    functions = [f for f in vars(helpers).values() if inspect.isfunction(f) and f.__module__ == helpers.__name__]
    used = [f for f in functions if re.search(rf"\b{f.__name__}\(", body)]
    return "".join(f"\n{inspect.getsource(f)}\n" for f in used)


def _group(plan: Plan, group: Group) -> list[str]:
    """The lines that draw one family of weights."""
    entry, name = group.entries[0], group.names[0]
    need = plan.requires.get(name)
    lines = _comment(group)
    if need is not None and need.names:
        lines += [f"# one weight with {', '.join(n for n in need.names if n != name)}"]
    if entry.lr_scale != 1:
        lines += [f"# the plan asks for {entry.lr_scale:g} times the learning rate"]
    shape = need.shape if need is not None else None
    fill = [*statement(entry.distribution, shape)]
    if entry.multiplier != 1:
        fill.append(f"w.mul_({entry.multiplier!r})")
    if not group.numbers:
        return [*lines, *_on(repr(name), name, fill), ""]
    steps = progression(group.numbers)
    if steps is None:
        over = repr(group.numbers)
    else:
        ends = [steps.start, steps.stop] if steps.start or steps.step != 1 else [steps.stop]
        over = f"range({', '.join(map(str, [*ends, steps.step] if steps.step != 1 else ends))})"
    quoted = 'f"' + group.template.replace('"', '\\"') + '"'
    return [*lines, f"for i in {over}:", *[f"    {line}" for line in _on(quoted, name, fill)], ""]


def _on(quoted: str, name: str, fill: list[str]) -> list[str]:
    """The lines with `w` bound to the weight of this name (`quoted` is the name as code)."""
    quoted = quoted.replace("'", '"')
    parts = name.split(".")
    if len(parts) >= 3 and parts[-3] == PARAMETRIZED and ORIGINAL.fullmatch(parts[-1]):
        owner = quoted.rpartition(f".{PARAMETRIZED}.")[0] + '"'
        return [
            f"owner = model.get_submodule({owner})",
            f"w = torch.empty_like(owner.{parts[-2]})",
            *fill,
            f"owner.{parts[-2]} = w  # through the parametrisation, so that the weight in effect is what was drawn",
        ]
    if parts[-1] == "weight_v":
        return [
            f"w = model.get_parameter({quoted})",
            f'g = model.get_parameter({quoted[:-2]}g")',
            *fill,
            "g.copy_(torch.linalg.vector_norm(w, dim=[d for d in range(w.ndim) if g.shape[d] == 1], keepdim=True))",
        ]
    call, _, rest = fill[0].partition("(w")
    if len(fill) == 1 and call.startswith("nn.init.") and rest[:1] in (",", ")"):
        return [f"{call}(model.get_parameter({quoted}){rest}"]
    return [f"w = model.get_parameter({quoted})", *fill]


def _comment(group: Group) -> list[str]:
    """The reasons, as comments."""
    reasons = list(dict.fromkeys(entry.reason for entry in group.entries if entry.reason))
    more = [f"(and {len(reasons) - 2} more reasons of this kind)"] if len(reasons) > 3 else []
    shown = reasons if len(reasons) <= 3 else reasons[:2]
    return [f"# {line}" for reason in [*shown, *more] for line in textwrap.wrap(reason, WIDTH)]
