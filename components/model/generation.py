"""Text generation: greedy and sampled continuations, and the likelihood of given ones.

A decoder continues the prompt. In an encoder-decoder the prompt goes to the encoder, and the decoder begins with
the token `start`. Prompts of different lengths share a batch by padding that no token sees, so the answer to a prompt
does not depend on its neighbours.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.model.interface import LanguageModel

NUCLEUS = 64  # tokens among which a nucleus is searched first
COLD = 1e-6  # temperature below which decoding is greedy; logits divided by less would overflow
BATCH = 64  # prompts


@dataclass(frozen=True)
class Sampling:
    """How the next token is sampled; a temperature of 0 is greedy.

    `top_k` keeps the likeliest tokens, `top_p` of these the fewest that together reach this share of the probability
    (https://arxiv.org/abs/1904.09751). The repetition penalty makes tokens that the answer already has less likely
    (https://arxiv.org/abs/1909.05858); those of the prompt are not penalised, so that an answer can still be copied
    from it.
    docs/decisions.md, "Free text is written with a penalty on its own tokens"
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0


GREEDY = Sampling()


def draw(logits_BV: Tensor, answers_BN: Tensor, chances_B: Tensor, sampling: Sampling) -> Tensor:
    """The next token of each row, [B], given the answers so far and a random number from 0 to below 1 for each."""
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
    """The probabilities and ids of the tokens that may be drawn, the likeliest first, each [B, N]."""
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
    """The largest probabilities, enough in each row to reach `top_p`, and their tokens: a full sort takes longer."""
    size, count = shares_BV.shape[-1], NUCLEUS
    while True:
        shares_BN, tokens_BN = shares_BV.topk(min(count, size))
        if count >= size or bool((shares_BN.sum(-1) >= top_p).all()):
            return shares_BN, tokens_BN
        count *= 8


def _at(chances_B: Tensor, shares_BN: Tensor) -> Tensor:
    """Where the cumulative sum of the shares exceeds the random number, taken as a fraction of their sum: [B]."""
    sums_BN = shares_BN.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(sums_BN, chances_B[:, None] * sums_BN[:, -1:], right=True).squeeze(-1)


__all__ = ["GREEDY", "Sampling", "generate", "log_likelihoods", "stream"]


Prompt = Sequence[int]
Ended = Callable[[Sequence[int]], bool]
"""Whether an answer is complete."""


def generate(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    start: int | None = None,
    stop: Collection[int] = (),
    ended: Ended | None = None,
    sampling: Sampling = GREEDY,
    seed: int = 0,
) -> list[list[int]]:
    """Generate the answer to each prompt: up to a stop token (left out), until it is `ended`, or `max_new_tokens` long.

    Prompt and answer together must fit into the window of a decoder, and each by itself into that of an
    encoder-decoder. Sampling depends on the seed and the prompt only.
    docs/decisions.md, "A draw follows from the seed and the prompt"
    """
    answers: list[list[int]] = [[] for _ in prompts]
    for places in _batches(prompts):
        batch = [prompts[place] for place in places]
        for tokens in _continue(model, batch, max_new_tokens, start, stop, ended, sampling, seed):
            for row, token in tokens.items():
                answers[places[row]].append(token)
    return answers


def stream(
    model: LanguageModel,
    prompt: Prompt,
    *,
    max_new_tokens: int,
    start: int | None = None,
    stop: Collection[int] = (),
    sampling: Sampling = GREEDY,
    seed: int = 0,
) -> Iterator[int]:
    """The tokens of `generate` for one prompt, each as soon as it is drawn."""
    for tokens in _continue(model, [prompt], max_new_tokens, start, stop, None, sampling, seed):
        yield from tokens.values()


@torch.inference_mode()
def log_likelihoods(
    model: LanguageModel, prompts: Sequence[Prompt], choices: Sequence[Sequence[int]], *, start: int | None = None
) -> Tensor:
    """The log-probability, in nats, of each choice after each prompt: [prompts, choices].

    A prompt is read once; the choices share its keys and values.
    """
    width, device = max(map(len, choices)), model.device
    ids_CL = torch.tensor([[*choice, *[0] * (width - len(choice))] for choice in choices], device=device)
    real_CL = torch.tensor([[place < len(choice) for place in range(width)] for choice in choices], device=device)
    scores = torch.empty(len(prompts), len(choices), device=device)
    for places in _batches(prompts, max(1, 8 * BATCH // len(choices))):
        rows, logits_BLV = model.read([prompts[place] for place in places], width, start)
        copies = torch.arange(len(places), device=device).repeat_interleave(len(choices))
        tokens_BL, logits_BLV = ids_CL.repeat(len(places), 1), logits_BLV[copies]
        if width > 1:
            logits_BLV = torch.cat([logits_BLV, rows.select(copies).advance(tokens_BL[:, :-1])], dim=1)
        nats_BL = logits_BLV.float().log_softmax(-1).gather(-1, tokens_BL[..., None]).squeeze(-1)
        scores[places] = (nats_BL * real_CL.repeat(len(places), 1)).sum(-1).view(len(places), -1)
    return scores


@torch.inference_mode()
def _continue(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    count: int,
    start: int | None,
    stop: Collection[int],
    ended: Ended | None,
    sampling: Sampling,
    seed: int,
) -> Iterator[dict[int, int]]:
    """Yield step by step the next token of each prompt whose answer is not complete, by the prompt's place."""
    rows, logits_B1V = model.read(prompts, count, start)
    device = logits_B1V.device
    drawn_BN = np.stack([np.random.default_rng([seed, *prompt]).random(count) for prompt in prompts])
    chances_BN = torch.from_numpy(drawn_BN).to(device)
    answers_BN = torch.empty(len(prompts), 0, dtype=torch.long, device=device)
    places = list(range(len(prompts)))  # of the prompts that the rows of the batch belong to
    going = set(places)
    for number in range(count):
        tokens_B = draw(logits_B1V[:, -1], answers_BN, chances_BN[:, number], sampling)
        answers_BN = torch.cat([answers_BN, tokens_B[:, None]], dim=1)
        drawn = {place: token for place, token in zip(places, tokens_B.tolist(), strict=True) if place in going}
        going -= {place for place, token in drawn.items() if token in stop}
        yield {place: token for place, token in drawn.items() if place in going}
        if ended is not None:
            going -= {place for place, answer in zip(places, answers_BN.tolist(), strict=True) if ended(answer)}
        if not going or number + 1 == count:
            return
        if len(going) <= len(places) // 2:  # finished rows are dropped
            kept = torch.tensor([row for row, place in enumerate(places) if place in going], device=device)
            rows, tokens_B = rows.select(kept), tokens_B[kept]
            chances_BN, answers_BN = chances_BN[kept], answers_BN[kept]
            places = [place for place in places if place in going]
        logits_B1V = rows.advance(tokens_B[:, None], last_only=True)


def _batches(prompts: Sequence[Prompt], size: int = BATCH) -> Iterator[list[int]]:
    """The places of the prompts, in batches of similar length."""
    places = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for first in range(0, len(places), size):
        yield places[first : first + size]
