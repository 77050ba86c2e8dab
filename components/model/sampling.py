"""How the next token is chosen from the logits, for rows that may each be sampled in their own way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

NUCLEUS = 64  # tokens among which a nucleus is searched first
ARGMAX, UNBOUNDED, BOUNDED = range(3)  # how a row is drawn: greedy, from all tokens, from the likeliest
COLD = 1e-6  # temperature below which decoding is greedy; logits divided by less would overflow


@dataclass(frozen=True)
class Sampling:
    """How the next token is sampled; a temperature of 0 is greedy.

    `top_k` keeps the likeliest tokens, `top_p` of these the fewest that together reach this share of the probability
    (https://arxiv.org/abs/1904.09751). The repetition penalty makes tokens that the answer already has less likely
    (https://arxiv.org/abs/1909.05858); those of the prompt are not penalised, so that an answer can still be copied
    from it. Presence and frequency penalty are taken off the logit of such a token, once and for each time; the bias is
    added to the logit of its token, as in OpenAI's API.
    docs/decisions.md, "Free text is written with a penalty on its own tokens"
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether the tokens that the answer already has matter."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1, 0, 0)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is chosen."""
        return self.temperature < COLD


GREEDY = Sampling()


class RowSampling:
    """The samplings of the rows of a batch.

    Names end with shapes: B rows, V tokens of the vocabulary, N some of them.
    """

    def __init__(self, samplings: Sequence[Sampling], device: torch.device) -> None:
        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None]

        self.counts = any(sampling.counts for sampling in samplings)
        """Whether `draw` needs the counts."""
        self._repetition_B1 = column([sampling.repetition_penalty for sampling in samplings])
        self._presence_B1 = column([sampling.presence_penalty for sampling in samplings])
        self._frequency_B1 = column([sampling.frequency_penalty for sampling in samplings])
        self._subtracts = any(sampling.presence_penalty or sampling.frequency_penalty for sampling in samplings)
        self._biases = [
            (row, torch.tensor(list(bias), device=device), torch.tensor(list(bias.values()), device=device))
            for row, bias in enumerate(sampling.logit_bias for sampling in samplings)
            if bias
        ]
        self._temperature_B1 = column([1.0 if sampling.greedy else sampling.temperature for sampling in samplings])
        kinds = [_kind(sampling) for sampling in samplings]
        self._rows = {
            kind: torch.tensor([row for row, own in enumerate(kinds) if own == kind], device=device)
            for kind in sorted(set(kinds))
        }
        bounded = [sampling for sampling, kind in zip(samplings, kinds, strict=True) if kind == BOUNDED]
        self._nucleus = _Nucleus.of(bounded, device)

    def draw(self, logits_BV: Tensor, counts_BV: Tensor | None, uniforms_B: Tensor) -> Tensor:
        """The next token of each row, [B], given a random number from 0 to below 1 for each.

        counts_BV: how often the answer of each row has each token so far; None: not at all.
        """
        logits_BV = logits_BV.float()
        if self.counts and counts_BV is not None:
            logits_BV = self._penalised(logits_BV, counts_BV)
        if self._biases:
            logits_BV = logits_BV.clone()
            for row, tokens_N, values_N in self._biases:
                logits_BV[row, tokens_N] += values_N
        if list(self._rows) == [ARGMAX]:
            return logits_BV.argmax(-1)
        logits_BV = logits_BV / self._temperature_B1
        if len(self._rows) == 1:
            (kind,) = self._rows
            return self._draw_kind(kind, logits_BV, uniforms_B)
        tokens_B = torch.empty(len(logits_BV), dtype=torch.long, device=logits_BV.device)
        for kind, rows in self._rows.items():
            tokens_B[rows] = self._draw_kind(kind, logits_BV[rows], uniforms_B[rows])
        return tokens_B

    def _penalised(self, logits_BV: Tensor, counts_BV: Tensor) -> Tensor:
        present_BV = counts_BV > 0
        scaled_BV = torch.where(logits_BV > 0, logits_BV / self._repetition_B1, logits_BV * self._repetition_B1)
        logits_BV = torch.where(present_BV, scaled_BV, logits_BV)
        if self._subtracts:
            logits_BV = logits_BV - present_BV * self._presence_B1 - counts_BV * self._frequency_B1
        return logits_BV

    def _draw_kind(self, kind: int, logits_BV: Tensor, uniforms_B: Tensor) -> Tensor:
        if kind == ARGMAX:
            return logits_BV.argmax(-1)
        if kind == UNBOUNDED:
            return _inverse_cdf(uniforms_B, logits_BV.softmax(-1))
        assert self._nucleus is not None
        shares_BN, tokens_BN = self._nucleus.likeliest(logits_BV.softmax(-1))
        return tokens_BN.gather(-1, _inverse_cdf(uniforms_B, shares_BN)[:, None]).squeeze(-1)


@dataclass(frozen=True)
class _Nucleus:
    """The bounds of the tokens that may be drawn, of each row."""

    top_k_B1: Tensor  # the size of the vocabulary or more: no bound
    top_p_B1: Tensor  # above 1: no bound
    first: int  # tokens to look at first

    @classmethod
    def of(cls, samplings: Sequence[Sampling], device: torch.device) -> Self | None:
        if not samplings:
            return None
        none = torch.iinfo(torch.long).max
        top_k = [none if sampling.top_k is None else sampling.top_k for sampling in samplings]
        top_p = [2.0 if sampling.top_p is None else sampling.top_p for sampling in samplings]
        first = max(NUCLEUS if count == none else count for count in top_k)
        return cls(torch.tensor(top_k, device=device)[:, None], torch.tensor(top_p, device=device)[:, None], first)

    def likeliest(self, shares_BV: Tensor) -> tuple[Tensor, Tensor]:
        """The shares and ids of the tokens that may be drawn, the likeliest first, each [B, N]."""
        shares_BN, tokens_BN = self._reaching(shares_BV)
        kept_BN = torch.arange(shares_BN.shape[1], device=shares_BV.device) < self.top_k_B1
        shares_BN = shares_BN * kept_BN
        sums_BN = shares_BN.cumsum(-1)
        before_BN = sums_BN - shares_BN
        of_all_B1 = torch.where(self.top_k_B1 < shares_BV.shape[1], sums_BN[:, -1:], 1.0)
        return shares_BN.masked_fill((before_BN >= self.top_p_B1 * of_all_B1) & (before_BN > 0), 0), tokens_BN

    def _reaching(self, shares_BV: Tensor) -> tuple[Tensor, Tensor]:
        """The largest shares, enough in each row for its bounds, and their tokens: a full sort takes longer."""
        size, count = shares_BV.shape[-1], self.first
        while True:
            shares_BN, tokens_BN = shares_BV.topk(min(count, size))
            enough_B1 = (self.top_k_B1 <= count) | (shares_BN.sum(-1, keepdim=True) >= self.top_p_B1)
            if count >= size or bool(enough_B1.all()):
                return shares_BN, tokens_BN
            count *= 8


def _kind(sampling: Sampling) -> int:
    if sampling.greedy:
        return ARGMAX
    return UNBOUNDED if sampling.top_k is None and sampling.top_p is None else BOUNDED


def _inverse_cdf(uniforms_B: Tensor, shares_BN: Tensor) -> Tensor:
    """Where the cumulative sum of the shares exceeds the random number, taken as a fraction of their sum: [B]."""
    sums_BN = shares_BN.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(sums_BN, uniforms_B[:, None] * sums_BN[:, -1:], right=True).squeeze(-1)
