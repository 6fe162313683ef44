"""Transformer blocks, as the models of text, characters and images use them."""

from torch import Tensor, nn
from torch.nn import functional as F

from fanin.errors import FaninValueError
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_share, check_whole, dropped

NORMS = ("pre", "post", None)


class Attention(nn.Module):
    """Dot-product attention of a sequence to itself (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Of shape (batch, positions, width), as `x`; `seen` (batch, positions) says which positions may be looked at."""
        batch, positions, width = x.shape
        split = (batch, positions, self.heads, width // self.heads)
        q, k, v = (layer(x).view(split).transpose(1, 2) for layer in (self.query, self.key, self.value))
        mask = None if seen is None else seen[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, positions, width))


class Block(nn.Module):
    """Attention and a net of two layers, each added to the stream; norm before each ("pre"), after each add ("post") or none."""

    def __init__(
        self,
        width: int,
        heads: int,
        causal: bool = False,
        norm: str | None = "pre",
        activation: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm = norm
        if norm:
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), activation_of(activation), nn.Linear(4 * width, width))
        self.dropout = nn.Sequential(*dropped(dropout))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        if self.norm == "pre":
            x = x + self.dropout(self.attention(self.norm1(x), seen))
            return x + self.dropout(self.feed(self.norm2(x)))
        x = x + self.dropout(self.attention(x, seen))
        x = self.norm1(x) if self.norm else x
        x = x + self.dropout(self.feed(x))
        return self.norm2(x) if self.norm else x


class Blocks(nn.Module):
    """Blocks one after another; where norms come before, one more at the end."""

    def __init__(
        self, layers: int, width: int, heads: int, causal: bool, norm: str | None, activation: str, dropout: float
    ) -> None:
        super().__init__()
        check_whole(layers=layers, width=width, heads=heads)
        check_share(dropout=dropout)
        if width % heads:
            raise FaninValueError(f"width={width!r} must be a multiple of heads={heads!r}")
        if norm not in NORMS:
            raise FaninValueError(f"norm={norm!r} is unknown; accepted are pre, post and None")
        self.blocks = nn.ModuleList(Block(width, heads, causal, norm, activation, dropout) for _ in range(layers))
        self.last = nn.LayerNorm(width) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, seen)
        return self.last(x)
