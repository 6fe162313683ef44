"""What the loss is and what it should be at the start, read from the call that made it."""

import math
from typing import Any

import torch

from fanin.traces.records import LossFacts
from fanin.traces.torch.consume import Call
from fanin.traces.torch.graph import Graph

KINDS = {
    "cross_entropy": "cross_entropy",
    "nll_loss": "cross_entropy",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce",
    "mse_loss": "mse",
    "l1_loss": "l1",
    "smooth_l1_loss": "l1",
    "huber_loss": "l1",
}


def call_facts(call: Call) -> dict[str, float]:
    """Numbers of a loss call, kept in its node: classes, chance level, spread of the logits within an example."""
    kind = KINDS.get(call.name)
    prediction, target = call.arg(0, "input"), call.arg(1, "target")
    if kind is None or not isinstance(prediction, torch.Tensor) or prediction.is_meta:
        return {}
    reduction = call.kwargs.get("reduction", call.args[-1] if call.args and isinstance(call.args[-1], str) else "mean")
    with torch.no_grad():
        x = prediction.detach()[:256].double()
        if kind == "cross_entropy":
            facts = _cross_entropy(call, prediction, x)
        elif kind == "bce":
            facts = {"chance": math.log(2.0), "logit_std": float(x.std()) if x.numel() > 1 else math.nan}
        else:
            y = target.detach().double() if isinstance(target, torch.Tensor) else torch.zeros(())
            power = y.square().mean() if kind == "mse" else y.abs().mean()
            facts = {"chance": float(power), "target_rms": math.sqrt(float(y.square().mean()))}
            facts["logit_std"] = float(x.std()) if x.numel() > 1 else math.nan
    if reduction != "mean":
        facts["chance"] = math.nan
    return facts


def _cross_entropy(call: Call, prediction: torch.Tensor, x: torch.Tensor) -> dict[str, float]:
    axis = 1 if prediction.ndim > 1 else 0
    classes = prediction.shape[axis]
    smoothing = call.kwargs.get("label_smoothing", 0.0) or 0.0
    weights = call.arg(2, "weight")
    return {
        "classes": float(classes),
        "chance": math.log(classes) if classes > 0 else math.nan,
        "logit_std": float(x.std(dim=axis).mean()) if classes > 1 else math.nan,
        "smoothing": float(smoothing),
        "weighted": float(weights is not None),
    }


def loss_facts(graph: Graph, made_by: int, value: float) -> LossFacts:
    """Facts of the loss that the node `made_by` gave (through scalings of one call of a known loss)."""
    node = graph.nodes[made_by]
    while node.kind == "shape" and graph.values[graph.signals_of(node)[0]].node >= 0:
        node = graph.nodes[graph.values[graph.signals_of(node)[0]].node]
    known = [i for i in range(made_by + 1) if graph.ancestors[made_by] >> i & 1 and graph.nodes[i].kind == "loss"]
    if len(known) != 1:
        return LossFacts(value, op=made_by)
    found = graph.nodes[known[0]]
    facts: dict[str, Any] = found.facts
    signals = graph.signals_of(found)
    logits = graph.values[signals[0]].node if signals else -1
    return LossFacts(
        value=value,
        kind=KINDS.get(found.name, "unknown") if node is found else "unknown",
        classes=int(facts.get("classes", 0)),
        chance=float(facts.get("chance", math.nan)) if node is found else math.nan,
        logit_std=float(facts.get("logit_std", math.nan)),
        target_rms=float(facts.get("target_rms", math.nan)),
        op=found.index,
        logits=logits,
        smoothing=float(facts.get("smoothing", 0.0)),
        weighted=bool(facts.get("weighted", 0.0)),
    )
