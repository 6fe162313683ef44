"""Small nets of the transformers library for `predict.py`: made from their configurations, nothing is downloaded."""

from typing import Any

import torch
from torch import nn

LABELS = {"num_labels": 10}
ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
WIDTH = {"vocab_size": 300, "hidden_size": 96, "num_attention_heads": 4}

# name → (class before "Config" and the model's ending, the ending, options, side of the images or 0 for words)
NETS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "hf-bert": (
        "Bert",
        "ForMaskedLM",
        WIDTH | {"num_hidden_layers": 4, "intermediate_size": 256, "pad_token_id": 0},
        0,
    ),
    "hf-gpt2": (
        "GPT2",
        "LMHeadModel",
        {"n_layer": 4, "n_embd": 96, "n_head": 4, "vocab_size": 300, "n_positions": 32} | ENDS,
        0,
    ),
    "hf-llama": (
        "Llama",
        "ForCausalLM",
        WIDTH | {"num_hidden_layers": 4, "intermediate_size": 256, "num_key_value_heads": 2} | ENDS,
        0,
    ),
    "hf-t5": (
        "T5",
        "ForConditionalGeneration",
        {
            "vocab_size": 300,
            "d_model": 96,
            "d_kv": 24,
            "d_ff": 256,
            "num_layers": 3,
            "num_heads": 4,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
        },
        0,
    ),
    "hf-mixtral": (
        "Mixtral",
        "ForCausalLM",
        WIDTH
        | {"num_hidden_layers": 3, "intermediate_size": 128, "num_key_value_heads": 2, "num_local_experts": 4}
        | ENDS,
        0,
    ),
    "hf-mamba": (
        "Mamba",
        "ForCausalLM",
        {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 3, "state_size": 8} | ENDS,
        0,
    ),
    "hf-rwkv": (
        "Rwkv",
        "ForCausalLM",
        {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 3, "context_length": 32},
        0,
    ),
    "hf-vit": (
        "ViT",
        "ForImageClassification",
        {
            "hidden_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "image_size": 32,
            "patch_size": 8,
        }
        | LABELS,
        32,
    ),
    "hf-swin": (
        "Swin",
        "ForImageClassification",
        {"image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
        | LABELS,
        32,
    ),
    "hf-convnext": (
        "ConvNext",
        "ForImageClassification",
        {"hidden_sizes": [32, 64, 96, 128], "depths": [2, 2, 3, 2]} | LABELS,
        64,
    ),
    "hf-mobilenet": ("MobileNetV2", "ForImageClassification", {"image_size": 64, "depth_multiplier": 0.5} | LABELS, 64),
}


def made(name: str) -> tuple[nn.Module, Any]:
    """The net with its own weights, and a batch of 4."""
    import transformers

    family, ending, options, side = NETS[name]
    model = getattr(transformers, family + ending)(getattr(transformers, family + "Config")(**options))
    g = torch.Generator().manual_seed(0)
    batch: Any = torch.randn(4, 3, side, side, generator=g) if side else torch.randint(1, 300, (4, 24), generator=g)
    return model, {"input_ids": batch, "decoder_input_ids": batch} if family == "T5" else batch


def norms_of(model: nn.Module) -> set[type[nn.Module]]:
    """The classes of a model's norms."""
    return {type(module) for module in model.modules() if "norm" in type(module).__name__.lower()}
