"""Text out of a model: greedy and sampled continuations, and the likelihood of given ones.

Prompts of different lengths share a batch by padding on the left; a padding token sees only itself and is seen
by none, so the answer to a prompt does not depend on its neighbours.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from components.model.layers import KeyValueCache
from components.model.transformer import Transformer

BATCH = 64  # prompts


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; a temperature of 0 takes the likeliest.

    The penalty makes tokens that the answer has already less likely (https://arxiv.org/abs/1909.05858); those of the
    prompt stay as they are, so that an answer can still be copied from it.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0


GREEDY = Sampling()


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling = GREEDY,
    seed: int = 0,
) -> list[list[int]]:
    """The tokens that follow each prompt, up to a stop token (left out) or `max_new_tokens`.

    Prompt and continuation must fit into the window of the model.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    for rows in _batches(prompts):
        open_rows = set(rows)
        steps = _continue(model, [prompts[row] for row in rows], max_new_tokens, sampling, seed)
        for tokens in steps:
            for row, token in zip(rows, tokens, strict=True):
                if token in stop:
                    open_rows.discard(row)
                elif row in open_rows:
                    answers[row].append(token)
            if not open_rows:
                break
    return answers


def stream(
    model: Transformer,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    stop: Collection[int] = (),
    sampling: Sampling = GREEDY,
    seed: int = 0,
) -> Iterator[int]:
    """The tokens of `generate` for one prompt, each as soon as it is drawn."""
    for (token,) in _continue(model, [prompt], max_new_tokens, sampling, seed):
        if token in stop:
            return
        yield token


@torch.inference_mode()
def log_likelihoods(model: Transformer, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[int]]) -> Tensor:
    """The log-probability, in nats, of each choice after each prompt: [prompts, choices].

    A prompt is read once; the choices share its keys and values.
    """
    width = max(map(len, choices))
    ids_CL = torch.tensor([[*choice, *[0] * (width - len(choice))] for choice in choices])
    real_CL = torch.arange(width) < torch.tensor([len(choice) for choice in choices])[:, None]
    scores = torch.empty(len(prompts), len(choices))
    for rows in _batches(prompts, max(1, 8 * BATCH // len(choices))):
        logits_BV, cache, pads = _read(model, [prompts[row] for row in rows], width)
        logits_BLV = logits_BV[:, None].repeat_interleave(len(choices), 0)
        tokens_BL = ids_CL.repeat(len(rows), 1)
        if width > 1:
            cache, pads = [layer.repeat(len(choices)) for layer in cache], pads.repeat_interleave(len(choices))
            logits_BLV = torch.cat([logits_BLV, _advance(model, tokens_BL[:, :-1], cache, pads)], dim=1)
        nats_BL = logits_BLV.float().log_softmax(-1).gather(-1, tokens_BL[..., None]).squeeze(-1)
        scores[rows] = (nats_BL * real_CL.repeat(len(rows), 1)).sum(-1).view(len(rows), -1)
    return scores


@torch.inference_mode()
def _continue(
    model: Transformer, prompts: Sequence[Sequence[int]], count: int, sampling: Sampling, seed: int
) -> Iterator[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    logits_BV, cache, pads = _read(model, prompts, count)
    said_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
    for number in range(count):
        logits_BV = torch.where(said_BV, _penalised(logits_BV, sampling.repetition_penalty), logits_BV).float()
        tokens_B = _draw(logits_BV, sampling, generator)
        said_BV.scatter_(-1, tokens_B[:, None], value=True)
        yield tokens_B.tolist()
        if number + 1 < count:
            logits_BV = _advance(model, tokens_B[:, None], cache, pads)[:, -1]


def _read(
    model: Transformer, prompts: Sequence[Sequence[int]], room: int
) -> tuple[Tensor, list[KeyValueCache], Tensor]:
    """Read prompts into a cache with room for more; the logits [B, V] behind each, the cache, the paddings [B]."""
    longest = max(map(len, prompts))
    pads = torch.tensor([longest - len(prompt) for prompt in prompts])
    tokens_BT = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    config = model.config
    cache = [KeyValueCache.empty(config, len(prompts), longest + room) for _ in range(config.num_layers)]
    return _advance(model, tokens_BT, cache, pads)[:, -1], cache, pads


def _advance(model: Transformer, tokens_BT: Tensor, cache: list[KeyValueCache], pads: Tensor) -> Tensor:
    """Feed tokens behind those of the cache; the logits [B, T, V]."""
    start, end = cache[0].length, cache[0].length + tokens_BT.shape[1]
    queries, keys = torch.arange(start, end)[:, None], torch.arange(end)
    seen_BTS = (keys <= queries) & (keys >= pads[:, None, None]) | (keys == queries)
    positions_BT = (queries.T - pads[:, None]).clamp(min=0)
    logits: Tensor = model(tokens_BT, mask=seen_BTS[:, None], positions_BT=positions_BT, cache=cache)
    return logits


def _penalised(logits_BV: Tensor, penalty: float) -> Tensor:
    return torch.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)


def _draw(logits_BV: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """The next token of each row, [B]."""
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    logits_BV = logits_BV / sampling.temperature
    if sampling.top_k is not None:
        least = logits_BV.topk(min(sampling.top_k, logits_BV.shape[-1])).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least, -torch.inf)
    if sampling.top_p is not None:
        logits_BV = _nucleus(logits_BV, sampling.top_p)
    return torch.multinomial(logits_BV.softmax(-1), 1, generator=generator).squeeze(-1)


def _nucleus(logits_BV: Tensor, share: float) -> Tensor:
    """Keep the likeliest tokens that together reach the share (https://arxiv.org/abs/1904.09751)."""
    ordered, order = logits_BV.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    return logits_BV.masked_fill((before >= share).scatter(-1, order, before >= share), -torch.inf)


def _batches(prompts: Sequence[Sequence[int]], size: int = BATCH) -> Iterator[list[int]]:
    """The places of the prompts, in batches of similar length."""
    places = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for start in range(0, len(places), size):
        yield places[start : start + size]
