"""Text generation: greedy and sampled continuations, and the likelihood of given ones.

A decoder continues the prompt. In an encoder-decoder the prompt goes to the encoder, and the decoder begins with
the token `start`. Prompts of different lengths share a batch by padding that no token sees, so the answer to a prompt
does not depend on its neighbours.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from components.model.interface import LanguageModel
from components.model.sampling import GREEDY, RowSampling, Sampling

BATCH = 64  # prompts


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
    uniforms_BN = torch.from_numpy(drawn_BN).to(device)
    answers_BN = torch.empty(len(prompts), 0, dtype=torch.long, device=device)
    counts_BV = torch.zeros_like(logits_B1V[:, -1], dtype=torch.float32) if sampling.counts else None
    places = list(range(len(prompts)))  # of the prompts that the rows of the batch belong to
    going, draws = set(places), RowSampling([sampling] * len(places), device)
    for number in range(count):
        tokens_B = draws.draw(logits_B1V[:, -1], counts_BV, uniforms_BN[:, number])
        if counts_BV is not None:
            counts_BV.scatter_add_(1, tokens_B[:, None], torch.ones_like(counts_BV[:, :1]))
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
            uniforms_BN, answers_BN = uniforms_BN[kept], answers_BN[kept]
            counts_BV = None if counts_BV is None else counts_BV[kept]
            places = [place for place in places if place in going]
            draws = RowSampling([sampling] * len(places), device)
        logits_B1V = rows.advance(tokens_B[:, None], last_only=True)


def _batches(prompts: Sequence[Prompt], size: int = BATCH) -> Iterator[list[int]]:
    """The places of the prompts, in batches of similar length."""
    places = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for first in range(0, len(places), size):
        yield places[first : first + size]
