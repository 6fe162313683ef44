"""The arithmetic between a parameter and the op that consumes it, step by step."""

from collections.abc import Iterable

from fanin.traces.records import Made
from fanin.traces.torch import consume, geometry
from fanin.traces.torch.values import Value
from fanin.traces.torch.views import CHANGES_VALUES, COPIES, Called

SAME = COPIES | {"detach", "dropout"}  # what a law does not see
TURNED = {"sub": "rsub", "subtract": "rsub", "div": "rdiv", "true_divide": "rdiv", "pow": "rpow"}
EFFECTIVE = ("_weight_norm",)  # what a plan draws there is the law of the weight that comes out


def steps(called: Called, module: str) -> tuple[Made, ...]:
    """The steps from a parameter to what a call made of parameters alone; () where it is the parameter, seen otherwise."""
    sources = {v.index: v for v in called.inputs if v.params and not v.data}
    before = next(iter(sources.values())).made if sources else ()
    if "parametrizations" in module or called.name in EFFECTIVE or _hooked(sources.values()):
        return ()
    if called.kind == "concat":
        return before if all(v.made == before for v in sources.values()) else (Made(called.name),)
    if called.name in SAME or (called.kind == "shape" and called.name not in CHANGES_VALUES | {"pad", "fold"}):
        return before
    if len(sources) > 1 or called.kind not in ("pointwise", "activation"):
        return (*before, Made(f"{called.name} of weights"))
    call = consume.Call(called.name, called.args, called.kwargs, called.value_of)  # type: ignore[arg-type]
    first = called.inputs[0] if called.inputs else None
    turned = first is not None and first.index not in sources
    name = TURNED.get(called.name, called.name) if turned else called.name
    return (*before, Made(name, geometry.facts(called.kind, call, [])))


def _hooked(sources: Iterable[Value]) -> bool:
    """Whether a hook of `torch.nn.utils.spectral_norm` makes the weight: then too its law is that of what comes out."""
    return any(name.endswith("_orig") for v in sources for name in v.params)
