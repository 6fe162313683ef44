"""Which residual streams are encoders and decoders, and how many layers they have, on models of torch and of transformers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fanin.traces.torch import trace

N, M = 4, 2  # layers of the encoder, of the decoder
ENCODER, DECODER = ("encoder", 2 * N, 2, M), ("decoder", 3 * M, 3, N)


def ids(length: int) -> torch.Tensor:
    return torch.randint(3, 29, (2, length), generator=torch.Generator().manual_seed(0))


class Translator(nn.Module):
    def __init__(self, n: int, m: int, *, before: bool = False):
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 32), nn.Linear(32, 30)
        self.both = nn.Transformer(32, 4, n, m, 64, batch_first=True, norm_first=before)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.head(self.both(self.embed(source), self.embed(target), tgt_mask=mask))


def bart(**options):
    transformers = pytest.importorskip("transformers")
    sizes = {f"{s}_{k}": v for s in ("encoder", "decoder") for k, v in (("attention_heads", 4), ("ffn_dim", 64))}
    config = transformers.BartConfig(
        vocab_size=50, d_model=32, encoder_layers=N, decoder_layers=M, max_position_embeddings=32, **sizes
    )
    return transformers.BartForConditionalGeneration._from_config(config, **options)


def t5(**options):
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=50, d_model=32, d_kv=8, d_ff=64, num_layers=N, num_decoder_layers=M, num_heads=4,
        decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration._from_config(config, **options)


def places(seen, part: str) -> set[tuple[str, int, int, float] | None]:
    found = [s.residual for s in seen.slots if s.role == "weight" and f"{part}." in s.name]
    assert found
    return {r and (r.stack, r.branches, r.adds, r.other) for r in found}


@pytest.mark.parametrize("n, m, before", [(4, 2, False), (2, 3, True), (1, 1, False)])
def test_torchs_transformer(n, m, before):
    seen = trace(Translator(n, m, before=before), (ids(7), ids(5)))
    assert places(seen, "encoder") == {("encoder", 2 * n, 2, m)}
    assert places(seen, "decoder") == {("decoder", 3 * m, 3, n)}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("build", [bart, t5])
def test_models_of_transformers(build, attention):
    """Fused and written-out attention; keys and values of what is looked at lie on the branch that looks."""
    seen = trace(build(attn_implementation=attention), {"input_ids": ids(7), "decoder_input_ids": ids(5)})
    assert places(seen, "encoder.layers" if build is bart else "encoder.block") == {ENCODER}
    assert places(seen, "decoder") == {DECODER}
    second = "decoder.layers.1.encoder_attn." if build is bart else "decoder.block.1.layer.1.EncDecAttention."
    looking = [s.residual for s in seen.slots if s.role == "weight" and second in s.name]
    assert [(r and r.branch) for r in looking] == [4, 4, 4, 4]
    assert {s.residual.layers for s in seen.slots if s.residual is not None} == {2}  # not those of the encoder besides


def test_a_decoder_whose_memory_is_an_input():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(32, 4, 64, batch_first=True), 3)
    seen = trace(decoder, (torch.randn(2, 5, 32), torch.randn(2, 7, 32)))
    assert places(seen, "layers") == {("decoder", 9, 3, 0.0)}


class Look(nn.Module):
    """Attention written out, its keys and values from anywhere."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x, memory):
        share = (self.q(x) @ self.k(memory).transpose(-1, -2) / 8**0.5).softmax(-1)
        return self.o(share @ self.v(memory))


class Stacks(nn.Module):
    """Streams of layers, each a word of s (looks at itself), c (at the stream before) and f (feed-forward)."""

    def __init__(self, *streams: str):
        super().__init__()
        self.streams = streams
        self.parts = nn.ModuleList(
            nn.ModuleList(nn.Linear(8, 8) if kind == "f" else Look() for kind in stream) for stream in streams
        )

    def forward(self, *inputs):
        before = None
        for stream, parts, x in zip(self.streams, self.parts, inputs, strict=True):
            for kind, part in zip(stream, parts, strict=True):
                x = x + (part(F.gelu(x)) if kind == "f" else part(x, x if kind == "s" else before))
            before = x
        return before


def stream(*streams: str, at: int = -1):
    seen = trace(Stacks(*streams), tuple(torch.randn(2, 5, 8) for _ in streams))
    (place,) = places(seen, f"parts.{range(len(streams))[at]}")
    assert place is not None
    return place


def test_layers_of_two_and_of_three_adds():
    assert stream("sfsf", "scfscf") == ("decoder", 6, 3, 2.0)
    assert stream("sfsf", "cfcf") == ("decoder", 4, 2, 2.0)
    assert stream("sfsf", "sfcfsfcf") == ("decoder", 8, 2, 2.0)  # every second layer looks elsewhere
    assert stream("sfsf", "scfsf") == ("decoder", 5, 0, 2.0)  # uneven: nobody can tell
    assert stream("sfsf", "scfsf", at=0) == ("encoder", 4, 2, 0.0)


def test_a_stack_in_the_middle_is_both():
    assert stream("sf", "scf", "scf", at=1)[0] == "both"
    assert stream("sf", "scf", "scf")[0] == "decoder"


def test_streams_that_do_not_meet_are_alone():
    assert stream("sfsf", "sfsf", at=0) == stream("sfsf", at=0) == ("alone", 4, 2, 0.0)


def test_values_of_an_earlier_layer_are_a_streams_own():
    """Layers that look at what an earlier layer of the same stream looked at (shared keys and values) are no decoder."""

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.looks = nn.ModuleList(Look() for _ in range(3))

        def forward(self, x):
            x = first = x + self.looks[0](x, x)
            for look in self.looks[1:]:
                x = x + look(x, first)
            return x

    assert places(trace(Shared(), torch.randn(2, 5, 8)), "looks") == {("alone", 3, 2, 0.0), None}


def test_logits_with_a_bias_are_no_stream():
    """T5 adds a bias for positions to its logits, which depends on no example."""

    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.q, self.k = nn.Embedding(9, 1), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            far = torch.arange(5)[:, None] - torch.arange(5) + 4
            logits = self.q(x) @ self.k(x).mT + self.table(far)[..., 0]
            return (logits + torch.zeros(5, 5)).softmax(-1) @ x

    assert trace(Biased(), torch.randn(2, 5, 8)).residuals == ()
