"""Continuations against `transformers`, and their independence of the batch."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model import hf
from components.model.cpu_inference import pack
from components.model.generation import generate, log_likelihoods, stream
from components.model.sampling import RowSampling, Sampling
from components.model.transformer import Transformer
from tests.components.support import shapes

VOCABULARY = 61
START = 60
KINDS = {
    "decoder": shapes.DECODER, "ngrams": shapes.NGRAMS, "encoder_decoder": shapes.ENCODER_DECODER,
    "original": shapes.ORIGINAL,
}  # fmt: skip
WARM = Sampling(temperature=1.0)


def lively(kind: str) -> Transformer:
    """A model whose answers are not all the same token."""
    made = shapes.model(replace(shapes.config(**KINDS[kind]), vocab_size=VOCABULARY, max_sequence_length=48))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim == 2 and ".mlp." in name:
                weight.mul_(4)
    return made


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Transformer:
    return lively(request.param)


@pytest.fixture(scope="module")
def decoder() -> Transformer:
    return lively("decoder")


PROMPTS = [[5, 9, 2], [1] * 17, [60, 3, 3, 8, 1, 44], [7]]
tokens = st.integers(0, VOCABULARY - 1)
prompts = st.lists(st.lists(tokens, min_size=1, max_size=20), min_size=1, max_size=5)


def answers(model: Transformer, prompts: list[list[int]], count: int = 12, **settings: object) -> list[list[int]]:
    return generate(model, prompts, max_new_tokens=count, start=START, **settings)  # type: ignore[arg-type]


def draw(logits_BV: torch.Tensor, uniforms_B: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    return RowSampling([sampling] * len(logits_BV), torch.device("cpu")).draw(logits_BV, None, uniforms_B)


def test_greedy_tokens_are_those_of_qwen3(decoder: Transformer, tmp_path: Path) -> None:
    hf.save(decoder, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt, ours in zip(PROMPTS, answers(decoder, PROMPTS, 24), strict=True):
        expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)
        assert ours == expected[0, len(prompt) :].tolist()


def test_greedy_tokens_are_those_of_marian(tmp_path: Path) -> None:
    ours = lively("original")
    hf.save(ours, tmp_path)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    for prompt, answer in zip(PROMPTS, answers(ours, PROMPTS, 24), strict=True):
        expected = theirs.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            decoder_start_token_id=START,
            max_new_tokens=24,
            do_sample=False,
            num_beams=1,
        )
        assert answer == expected[0, 1:].tolist()


@settings(max_examples=10, deadline=None)
@given(prompts, st.sampled_from([Sampling(), WARM, Sampling(1.0, top_k=9, top_p=0.8, repetition_penalty=1.5)]))
def test_an_answer_does_not_depend_on_its_neighbours(
    model: Transformer, batch: list[list[int]], sampling: Sampling
) -> None:
    alone = [answers(model, [prompt], 6, sampling=sampling)[0] for prompt in batch]
    assert answers(model, batch, 6, sampling=sampling) == alone
    streams = [stream(model, prompt, max_new_tokens=6, start=START, sampling=sampling) for prompt in batch]
    assert [list(tokens) for tokens in streams] == alone


def test_an_answer_does_not_depend_on_those_that_end_before(model: Transformer) -> None:
    """Rows that are done leave the batch."""
    whole = answers(model, PROMPTS)
    for keep in range(len(PROMPTS)):
        ended = [lambda answer, keep=keep: answer != whole[keep][: len(answer)]]  # type: ignore[misc]
        assert answers(model, PROMPTS, ended=ended[0])[keep] == whole[keep]


def test_a_stop_token_ends_the_answer_and_is_left_out(model: Transformer) -> None:
    whole = answers(model, PROMPTS)
    for stop in {whole[0][4], whole[2][1]}:
        cuts = [full[: full.index(stop)] if stop in full else full for full in whole]
        assert answers(model, PROMPTS, stop=[stop]) == cuts
        assert list(stream(model, PROMPTS[0], max_new_tokens=12, start=START, stop=[stop])) == cuts[0]


def test_an_answer_ends_where_it_is_complete(model: Transformer) -> None:
    ends = answers(model, PROMPTS, ended=lambda answer: sum(answer) > 150)
    for whole, end in zip(answers(model, PROMPTS), ends, strict=True):
        assert end == whole[: len(end)]
        assert sum(end[:-1]) <= 150
        assert sum(end) > 150 or end == whole


def test_the_whole_window_can_be_used(decoder: Transformer) -> None:
    assert len(answers(decoder, [[1] * 24], 24)[0]) == 24


@settings(max_examples=10, deadline=None)
@given(prompts, st.lists(st.lists(tokens, min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_likelihood_of_a_choice_is_the_sum_of_its_tokens(
    model: Transformer, batch: list[list[int]], choices: list[list[int]]
) -> None:
    scores = log_likelihoods(model, batch, choices, start=START)
    for row, prompt in enumerate(batch):
        for column, choice in enumerate(choices):
            if model.encoder is None:
                logits = model(torch.tensor([prompt + choice]))[0, len(prompt) - 1 :]
            else:
                logits = model(torch.tensor([[START, *choice]]), memory_BSC=model.encode(torch.tensor([prompt])))[0]
            expected = sum(logits[n].log_softmax(-1)[token] for n, token in enumerate(choice))
            torch.testing.assert_close(scores[row, column], expected, atol=1e-3, rtol=1e-4)


def test_packed_matrices_give_the_same_answers(model: Transformer) -> None:
    packed = pack(deepcopy(model))
    assert answers(packed, PROMPTS, 24) == answers(model, PROMPTS, 24)
    choices = [[1, 2, 3], [4]]
    torch.testing.assert_close(
        log_likelihoods(packed, PROMPTS, choices, start=START),
        log_likelihoods(model, PROMPTS, choices, start=START),
        atol=1e-3,
        rtol=1e-5,
    )


def test_sampling_repeats_with_its_seed(decoder: Transformer) -> None:
    drawn = [answers(decoder, PROMPTS, sampling=WARM, seed=seed) for seed in (4, 4, 5)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert answers(decoder, PROMPTS, 5, sampling=WARM, seed=4) == [answer[:5] for answer in drawn[0]]


# Hundredths: of logits that hardly differ, the shares are equal, and either is among the likeliest.
logits_rows = st.lists(st.integers(-2000, 2000).map(lambda n: n / 100), min_size=2, max_size=200, unique=True)


@settings(deadline=None)
@given(
    logits_rows,
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.none(), st.integers(1, 300)),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_what_is_drawn_is_among_the_likeliest(
    logits: list[float], chance: float, top_k: int | None, top_p: float | None
) -> None:
    sampling = Sampling(1.0, top_k, top_p)
    logits_BV = torch.tensor([logits])
    token = int(draw(logits_BV, torch.tensor([chance], dtype=torch.float64), sampling))
    likelier = logits_BV[0][logits_BV[0] > logits[token]]
    assert len(likelier) < (top_k or len(logits))
    if top_p is not None:
        of_those = logits_BV[0].sort(descending=True).values[:top_k].logsumexp(0)
        assert (likelier - of_those).exp().sum() < top_p + 1e-5 or len(likelier) == 0


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    shares = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05])
    chances = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    logits_BV = shares.log().repeat(1000, 1)
    for sampling, kept in ((WARM, 5), (Sampling(1.0, top_k=3), 3), (Sampling(1.0, top_p=0.6), 2)):
        counts = draw(logits_BV, chances, sampling).bincount(minlength=5)
        expected = torch.where(torch.arange(5) < kept, shares, 0) / shares[:kept].sum()
        torch.testing.assert_close(counts / 1000, expected, atol=0.002, rtol=0)


@pytest.mark.parametrize("temperature", [1e-300, 1e-40, 1e-7, 1e-6])
def test_next_to_no_temperature_takes_the_likeliest(temperature: float) -> None:
    chance = torch.tensor([0.99], dtype=torch.float64)
    logits_BV = torch.tensor([[-20.0, 19.0, 20.0]])
    assert int(draw(logits_BV, chance, Sampling(temperature))) == 2


def test_a_penalty_keeps_the_answer_from_repeating_itself_but_not_the_prompt(decoder: Transformer) -> None:
    strict = Sampling(repetition_penalty=1e9)
    for prompt, answer in zip(PROMPTS, answers(decoder, PROMPTS, sampling=strict), strict=True):
        assert len(set(answer)) == len(answer)
        assert answer[0] == answers(decoder, [prompt], 1)[0][0]
