"""Stock models of `transformers`, built from tiny configurations: traced whole, every parameter attributed, no false alarm."""

import functools

import pytest
import torch
from torch import nn

import fanin

transformers = pytest.importorskip("transformers")

TEXT = {
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
}


def ids():
    return torch.randint(3, 128, (4, 12), generator=torch.Generator().manual_seed(0))


def language(head, config, **options):
    return lambda t: (getattr(t, head)(getattr(t, config)(**options)), {"input_ids": ids(), "labels": ids()})


def images(head, config, size=32, **options):
    labels = torch.arange(4)
    pixels = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    return lambda t: (
        getattr(t, head)(getattr(t, config)(num_labels=10, **options)),
        {"pixel_values": pixels, "labels": labels},
    )


GPT = {"vocab_size": 128, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
T5 = {"vocab_size": 128, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
MOE = {
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
FAMILIES = {
    "gpt2": language("GPT2LMHeadModel", "GPT2Config", **GPT, bos_token_id=1, eos_token_id=2),
    "bert": language("BertForMaskedLM", "BertConfig", **TEXT),
    "llama": language("LlamaForCausalLM", "LlamaConfig", **TEXT, num_key_value_heads=2),
    "mixtral": language("MixtralForCausalLM", "MixtralConfig", **TEXT, num_key_value_heads=2, num_local_experts=4),
    "mamba": language("MambaForCausalLM", "MambaConfig", vocab_size=128, hidden_size=32, num_hidden_layers=2, state_size=8),
    "t5": language("T5ForConditionalGeneration", "T5Config", **T5, decoder_start_token_id=0),
    "opt": language("OPTForCausalLM", "OPTConfig", vocab_size=128, hidden_size=32, num_hidden_layers=2, ffn_dim=64,
                    num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=32),
    "qwen3": language("Qwen3ForCausalLM", "Qwen3Config", **TEXT, num_key_value_heads=2, head_dim=8),
    "deepseek-v3": language("DeepseekV3ForCausalLM", "DeepseekV3Config", **TEXT, **MOE),
    "rwkv": language("RwkvForCausalLM", "RwkvConfig", vocab_size=128, hidden_size=32, num_hidden_layers=2,
                     attention_hidden_size=32, context_length=64),
    "gpt-neox": language("GPTNeoXForCausalLM", "GPTNeoXConfig", **TEXT),
    "bloom": language("BloomForCausalLM", "BloomConfig", vocab_size=128, hidden_size=32, n_layer=2, n_head=4),
    "vit": images("ViTForImageClassification", "ViTConfig", **VISION, patch_size=8),
    "resnet": images("ResNetForImageClassification", "ResNetConfig", size=64, embedding_size=8,
                     hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1]),
    "convnext": images("ConvNextForImageClassification", "ConvNextConfig", size=64, hidden_sizes=[8, 16, 16, 32],
                       depths=[1, 1, 2, 1]),
    "swin": images("SwinForImageClassification", "SwinConfig", image_size=32, patch_size=4, embed_dim=16, depths=[1, 1],
                   num_heads=[2, 2], window_size=4),
    "whisper": lambda t: (
        t.WhisperForConditionalGeneration(
            t.WhisperConfig(vocab_size=128, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=16,
                            max_source_positions=20, max_target_positions=20, pad_token_id=0, bos_token_id=1,
                            eos_token_id=2, decoder_start_token_id=1)
        ),
        {"input_features": torch.randn(4, 16, 40), "labels": ids()},
    ),
    "wav2vec2": lambda t: (
        t.Wav2Vec2ForCTC(
            t.Wav2Vec2Config(vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                             intermediate_size=64, conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3),
                             num_feat_extract_layers=2, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
        ),
        {"input_values": torch.randn(2, 800, generator=torch.Generator().manual_seed(0))},
    ),
}  # fmt: skip


@functools.cache
def report_of(family):
    torch.manual_seed(0)
    model, batch = FAMILIES[family](transformers)
    return model, fanin.check(model, batch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_attributed(family):
    model, report = report_of(family)
    slots = report.trace.slots
    assert sum(s.size for s in slots) == sum(p.numel() for p in model.parameters())
    assert [s.name for s in slots if s.role in ("unused", "opaque", "other")] == []
    assert [s.name for s in slots if s.role in ("weight", "recurrent") and s.axes is None] == []
    assert not any("cannot be seen" in note for note in report.trace.notes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_error_on_a_family_that_trains(family):
    _, report = report_of(family)
    assert [f"{f.code} {f.message}" for f in report.at_least("error")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["gpt2", "llama", "vit", "resnet", "t5", "mixtral"])
def test_a_plan_applies_and_leaves_no_error(family):
    torch.manual_seed(0)
    model, batch = FAMILIES[family](transformers)
    fanin.plan(model, batch).apply(model, seed=0)
    report = fanin.check(model, batch)
    assert [f"{f.code} {f.message}" for f in report.at_least("error")] == []


def test_copies_of_encoder_layers_are_found():
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 3)
    report = fanin.check(model, torch.randn(6, 9, 32))
    codes = {f.code: f.severity for f in report.findings}
    assert codes.get("FI102") == "warning"


def test_the_fused_projection_is_no_more_than_info():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    report = fanin.check(model, torch.randn(6, 9, 32))
    about = [f for f in report.findings if any("in_proj_weight" in name for name in f.where)]
    assert [f.severity for f in about] == ["info"]


def test_default_linear_chains_of_depth_20_are_found():
    torch.manual_seed(0)
    layers = [layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.ReLU())]
    report = fanin.check(nn.Sequential(*layers, nn.Linear(64, 10)), torch.randn(32, 64))
    assert {"FI201", "FI402"} <= {f.code for f in report.findings}
    assert not report.ok
