"""How the next token is drawn from the logits."""

from dataclasses import dataclass

import torch
from torch import Tensor

NUCLEUS = 64  # tokens among which a nucleus is sought first
COLD = 1e-6  # temperature below which the likeliest token has all the probability; logits over less would overflow


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; a temperature of 0 takes the likeliest.

    `top_k` leaves the likeliest tokens, `top_p` of these the fewest that together reach this share of the probability
    (https://arxiv.org/abs/1904.09751). The penalty makes tokens that the answer has already less likely
    (https://arxiv.org/abs/1909.05858); those of the prompt stay as they are, so that an answer can still be copied
    from it.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0


GREEDY = Sampling()


def draw(logits_BV: Tensor, answers_BN: Tensor, chances_B: Tensor, sampling: Sampling) -> Tensor:
    """The next token of each row, [B], behind the answers so far, at a chance from 0 to below 1."""
    logits_BV = logits_BV.float()
    if sampling.repetition_penalty != 1:
        logits_BV = _penalised(logits_BV, answers_BN, sampling.repetition_penalty)
    if sampling.temperature < COLD:
        return logits_BV.argmax(-1)
    logits_BV = logits_BV / sampling.temperature
    if sampling.top_k is None and sampling.top_p is None:
        return _at(chances_B, logits_BV.softmax(-1))
    shares_BN, tokens_BN = _likeliest(logits_BV, sampling.top_k, sampling.top_p)
    return tokens_BN.gather(-1, _at(chances_B, shares_BN)[:, None]).squeeze(-1)


def _penalised(logits_BV: Tensor, answers_BN: Tensor, penalty: float) -> Tensor:
    said_BN = logits_BV.gather(-1, answers_BN)
    return logits_BV.scatter(-1, answers_BN, torch.where(said_BN > 0, said_BN / penalty, said_BN * penalty))


def _likeliest(logits_BV: Tensor, top_k: int | None, top_p: float | None) -> tuple[Tensor, Tensor]:
    """The tokens that may be drawn, the likeliest first, and before them their shares of all, each [B, N]."""
    if top_k is not None:
        logits_BN, tokens_BN = logits_BV.topk(min(top_k, logits_BV.shape[-1]))
        shares_BN = logits_BN.softmax(-1)
    else:
        assert top_p is not None
        shares_BN, tokens_BN = _reaching(logits_BV.softmax(-1), top_p)
    if top_p is not None:
        before_BN = shares_BN.cumsum(-1) - shares_BN
        shares_BN = shares_BN.masked_fill((before_BN >= top_p) & (before_BN > 0), 0)
    return shares_BN, tokens_BN


def _reaching(shares_BV: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The largest shares, enough in each row to reach `top_p`, and their tokens: to sort them all takes far longer."""
    size, count = shares_BV.shape[-1], NUCLEUS
    while True:
        shares_BN, tokens_BN = shares_BV.topk(min(count, size))
        if count >= size or bool((shares_BN.sum(-1) >= top_p).all()):
            return shares_BN, tokens_BN
        count *= 8


def _at(chances_B: Tensor, shares_BN: Tensor) -> Tensor:
    """Where the sum of the shares passes the chance, a part of their sum: [B]."""
    sums_BN = shares_BN.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(sums_BN, chances_B[:, None] * sums_BN[:, -1:], right=True).squeeze(-1)
