"""Looks inside composite calls, from their arguments: attention logits recomputed on a sample, gates of an LSTM."""

import math
from typing import Any

import torch

from fanin.traces.records import forget_bias
from fanin.traces.torch import losses
from fanin.traces.torch.consume import MHA_ARGUMENTS, Call, recurrent_layers
from fanin.traces.torch.values import Value

HEADS, QUERIES, KEYS = 4, 16, 256  # how much of a call is recomputed


def facts(kind: str, call: Call, inputs: list[Value]) -> dict[str, float]:
    """Numbers of composite calls: attention logits and entropy, softmax entropy, forget biases of LSTMs."""
    try:
        if call.name == "scaled_dot_product_attention":
            return _sdpa(call)
        if call.name == "multi_head_attention_forward":
            return _mha(call)
        if call.name in ("lstm", "lstm_cell"):
            return _forget_biases(call)
        if kind == "softmax":
            return _softmax(call)
        if kind == "loss":
            return losses.call_facts(call)
    except (RuntimeError, IndexError, ValueError):
        return {}  # an unusual layout: the call itself is recorded, only its insides are not
    return {}


def _logit_facts(logits: torch.Tensor, heads: int) -> dict[str, float]:
    """`logits` (…, queries, keys), -inf where masked; std over the keys of a row that has at least two."""
    rows = logits.detach().double().flatten(0, -2)
    allowed = torch.isfinite(rows)
    rows, allowed = rows[allowed.sum(-1) > 1], allowed[allowed.sum(-1) > 1]
    if len(rows) == 0:
        return {}
    count = allowed.sum(-1)
    filled = rows.masked_fill(~allowed, 0.0)
    mean = filled.sum(-1) / count
    variance = ((filled - mean[:, None]).square() * allowed).sum(-1) / (count - 1)
    shares = torch.softmax(rows, -1)
    entropy = -(shares * torch.log(shares.clamp_min(1e-300))).sum(-1)
    return {
        "logit_std": math.sqrt(float(variance.mean())),
        "logit_max": float(rows.masked_fill(~allowed, -math.inf).max()),
        "entropy": float(entropy.mean()),
        "max_entropy": float(torch.log(count.double()).mean()),
        "heads": float(heads),
    }


def _sdpa(call: Call) -> dict[str, float]:
    query, key = call.arg(0, "query"), call.arg(1, "key")
    mask, causal = call.arg(3, "attn_mask"), bool(call.arg(5, "is_causal", default=False))
    scale = call.arg(6, "scale") or 1.0 / math.sqrt(query.shape[-1])
    if call.arg(7, "enable_gqa", default=False) and query.shape[-3] != key.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    with torch.no_grad():
        if mask is not None:  # the whole batch matters to a mask's broadcasting: cut after the mask is applied
            mask = mask.expand(*torch.broadcast_shapes(mask.shape[:-2], query.shape[:-2]), *mask.shape[-2:])
        heads = query.shape[-3] if query.ndim > 2 else 1
        q, k = query[:2], key[:2]
        if q.ndim > 3:
            q, k = q[:, :HEADS], k[:, :HEADS]
        rows = torch.arange(0, q.shape[-2], max(1, q.shape[-2] // QUERIES))
        logits = (q[..., rows, :].float() @ k.float().transpose(-1, -2)) * scale
        if causal:
            logits = logits.masked_fill(torch.arange(k.shape[-2])[None, :] > rows[:, None], -math.inf)
        if mask is not None:
            part = mask[:2, :HEADS] if mask.ndim > 3 else mask[:2] if mask.ndim > 2 else mask
            part = part[..., rows, :]
            logits = logits.masked_fill(~part, -math.inf) if part.dtype == torch.bool else logits + part
            logits = logits.masked_fill(logits < -1e30, -math.inf)
    return _logit_facts(logits, heads)


def _mha(call: Call) -> dict[str, float]:
    named: dict[str, Any] = dict(zip(MHA_ARGUMENTS, call.args, strict=False)) | call.kwargs
    query, key, heads = named["query"], named["key"], int(named["num_heads"])
    width = query.shape[-1]
    with torch.no_grad():
        if query.ndim == 2:
            query, key = query[:, None], key[:, None]
        step = max(1, query.shape[0] // QUERIES)
        q, k = query[::step, :2], key[:KEYS, :2]
        bias = named.get("in_proj_bias")
        if named.get("use_separate_proj_weight"):
            w_q, w_k = named["q_proj_weight"], named["k_proj_weight"]
        else:
            w_q, w_k = named["in_proj_weight"][:width], named["in_proj_weight"][width : 2 * width]
        q = torch.nn.functional.linear(q, w_q, None if bias is None else bias[:width])
        k = torch.nn.functional.linear(k, w_k, None if bias is None else bias[width : 2 * width])
        size = width // heads
        q = q.unflatten(-1, (heads, size)).permute(1, 2, 0, 3)[:, :HEADS]
        k = k.unflatten(-1, (heads, size)).permute(1, 2, 0, 3)[:, :HEADS]
        logits = q.float() @ k.float().transpose(-1, -2) / math.sqrt(size)
        mask = named.get("attn_mask")
        if mask is not None and mask.ndim == 2:
            part = mask[::step, :KEYS]
            logits = logits.masked_fill(part, -math.inf) if part.dtype == torch.bool else logits + part
    return _logit_facts(logits, heads)


def _forget_biases(call: Call) -> dict[str, float]:
    """The mean bias of each layer's forget gate (torch stacks input, forget, cell, output), by its recurrent weight."""
    found = {}
    for _, w_hh, b_ih, b_hh, _ in recurrent_layers(call):
        if w_hh is None or w_hh.is_meta:
            continue
        hidden = w_hh.shape[0] // 4
        biases = [b.detach()[hidden : 2 * hidden].double().mean() for b in (b_ih, b_hh) if b is not None]
        weight = call.lookup(w_hh)
        for name in weight.params if weight is not None else ():
            found[forget_bias(name)] = float(sum(biases))
    return found


def _softmax(call: Call) -> dict[str, float]:
    logits = call.arg(0, "input", "self")
    dim = call.arg(1, "dim")
    if not isinstance(logits, torch.Tensor) or logits.is_meta or not logits.is_floating_point() or logits.ndim < 2:
        return {}
    with torch.no_grad():
        x = logits.detach().movedim(dim if isinstance(dim, int) else -1, -1)
        for axis, limit in zip(range(x.ndim - 1), (2, HEADS, QUERIES), strict=False):
            step = max(1, x.shape[axis] // limit)
            x = x[(slice(None),) * axis + (slice(None, None, step),)]
        x = x.masked_fill(x < -1e4, -math.inf)
    return _logit_facts(x, logits.shape[1] if logits.ndim > 3 else 1) | {"classes": float(logits.shape[-1])}
