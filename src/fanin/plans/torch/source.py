"""Plans as plain torch code, with no fanin import: the same distribution for every weight, other numbers."""

import inspect
import itertools
import re
import textwrap

from fanin.names import ORIGINAL, PARAMETRIZED
from fanin.plans.groups import Group, group_entries, progression
from fanin.plans.records import Plan
from fanin.plans.requirements import listed
from fanin.plans.torch.expressions import statement
from fanin.plans.torch.twins import twins

WIDTH = 110

HEADER = '''"""Initial weights in plain PyTorch, from a plan that fanin wrote."""

{imports}import torch
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
    needs = [need for need in plan.architecture if not need.met_by]
    if needs:
        body += [f"# {line}" for line in textwrap.wrap(f"The plan requires {listed(needs)}.", WIDTH)] + [""]
    for numbers, together in itertools.groupby(group_entries(plan), key=lambda group: group.numbers):
        lines = [_group(plan, group) for group in together]
        if numbers:
            body += [f"for i in {_over(numbers)}:", *[f"    {line}" for each in lines for line in each], ""]
        else:
            body += [line for each in lines for line in [*each, ""]]
    text = "\n".join(f"    {line}" if line else "" for line in [*body, "return model"])
    helpers = _helpers(text)
    header = HEADER.format(
        imports="import math\n\n" if "math." in helpers + text else "",
        names="Tensor, nn" if re.search(r"\bTensor\b", helpers) else "nn",
    )
    return f"{header}{helpers}{START}{text}\n"


def _over(numbers: tuple[int, ...]) -> str:
    """Code of what a loop goes over."""
    steps = progression(numbers)
    if steps is None:
        return repr(numbers)
    if steps.step != 1:
        return f"range({steps.start}, {steps.stop}, {steps.step})"
    return f"range({steps.start}, {steps.stop})" if steps.start else f"range({steps.stop})"


def _helpers(body: str) -> str:
    """The text of the helpers that the body calls, in the order of their file."""
    from fanin.plans.torch import helpers

    functions = [f for f in vars(helpers).values() if inspect.isfunction(f) and f.__module__ == helpers.__name__]
    functions += twins().values()
    used: list[str] = []
    text = body
    while True:  # a helper may call others
        more = [f for f in functions if f.__name__ not in used and re.search(rf"\b{f.__name__}\(", text)]
        if not more:
            return "".join(f"\n{inspect.getsource(f)}\n" for f in functions if f.__name__ in used)
        used += [f.__name__ for f in more]
        text = "".join(inspect.getsource(f) for f in more)


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
    quoted = f'f"{group.template}"' if group.numbers else f'"{name}"'
    return [*lines, *_on(quoted, name, fill)]


def _on(quoted: str, name: str, fill: list[str]) -> list[str]:
    """The lines with `w` bound to the weight of this name (`quoted` is the name as code)."""
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
