"""A plain GPT as nanoGPT trains it on a processor: for `benchmarks.quality`."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH, ROWS, STEPS = 64, 12, 2000
LAYERS, HEADS, WIDTH = 4, 4, 128
RATE, LEAST_RATE, WARMUP = 1e-3, 1e-4, 100


class Block(nn.Module):
    """LayerNorm, attention, LayerNorm, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norms[0](x_BTC)).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTC = x_BTC + self.out(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x_BTC + self.down(F.gelu(self.up(self.norms[1](x_BTC))))
        return out


class GPT(nn.Module):
    """GPT-2's form, with a tied head."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab_size, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(
                    weight, std=0.02 / (2 * LAYERS) ** 0.5 if name.endswith(("out.weight", "down.weight")) else 0.02
                )

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x_BTC = self.tokens(tokens_BT) + self.places(torch.arange(tokens_BT.shape[1]))
        return F.linear(self.norm(self.blocks(x_BTC)), self.tokens.weight)


def learning_rate(step: int) -> float:
    """Warm-up, then a cosine."""
    if step < WARMUP:
        return RATE * (step + 1) / (WARMUP + 1)
    return LEAST_RATE + (RATE - LEAST_RATE) * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2


def train(text: Tensor, vocab_size: int, seed: int, look: Callable[[GPT], None]) -> None:
    """Learn from a text, int64 [N]; `look` gets the model every 250 steps."""
    torch.manual_seed(seed)
    model = GPT(vocab_size)
    decaying = [weight for weight in model.parameters() if weight.ndim == 2]
    lasting = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": lasting, "weight_decay": 0.0}], betas=(0.9, 0.99)
    )
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        starts = torch.randint(len(text) - LENGTH, (ROWS,))
        windows = torch.stack([text[start : start + LENGTH + 1] for start in starts])
        loss = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 250 == 0:
            look(model)
