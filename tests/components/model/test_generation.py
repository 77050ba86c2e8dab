"""Continuations against `transformers`, and their independence of the batch."""

from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model import hf
from components.model.config import ModelSettings
from components.model.generation import Sampling, generate, log_likelihoods, stream
from components.model.transformer import Transformer


@pytest.fixture(scope="module")
def model() -> Transformer:
    sizes = ModelSettings(
        depth=2, tie_embeddings=True, rope_theta=1e4, norm_eps=1e-6, hidden_size=32, num_heads=2, num_kv_heads=1,
        head_dim=16,
    ).build(61, 48)  # fmt: skip
    made = Transformer(sizes)
    made.initialize(torch.Generator().manual_seed(3))
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(8 if weight.ndim == 2 else 1)
    return made.eval()


PROMPTS = [[5, 9, 2], [1] * 17, [60, 3, 3, 8, 1, 44], [7]]
prompts = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=20), min_size=1, max_size=5)


def test_greedy_tokens_are_those_of_transformers(model: Transformer, tmp_path: Path) -> None:
    hf.save(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt, ours in zip(PROMPTS, generate(model, PROMPTS, max_new_tokens=24), strict=True):
        expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)
        assert ours == expected[0, len(prompt) :].tolist()


@settings(max_examples=20, deadline=None)
@given(prompts)
def test_an_answer_does_not_depend_on_its_neighbours(model: Transformer, batch: list[list[int]]) -> None:
    alone = [generate(model, [prompt], max_new_tokens=6)[0] for prompt in batch]
    assert generate(model, batch, max_new_tokens=6) == alone
    assert [list(stream(model, prompt, max_new_tokens=6)) for prompt in batch] == alone


def test_a_stop_token_ends_the_answer_and_is_left_out(model: Transformer) -> None:
    whole = generate(model, PROMPTS, max_new_tokens=12)
    stop = whole[0][4]
    for full, cut in zip(whole, generate(model, PROMPTS, max_new_tokens=12, stop=[stop]), strict=True):
        assert cut == (full[: full.index(stop)] if stop in full else full)


@settings(max_examples=20, deadline=None)
@given(prompts, st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_likelihood_of_a_choice_is_the_sum_of_its_tokens(
    model: Transformer, batch: list[list[int]], choices: list[list[int]]
) -> None:
    scores = log_likelihoods(model, batch, choices)
    for row, prompt in enumerate(batch):
        for column, choice in enumerate(choices):
            logs = model(torch.tensor([prompt + choice])).log_softmax(-1)[0]
            expected = sum(logs[len(prompt) - 1 + n, token] for n, token in enumerate(choice))
            torch.testing.assert_close(scores[row, column], expected, atol=1e-3, rtol=1e-4)


def test_sampling_repeats_with_its_seed_and_keeps_to_the_likely(model: Transformer) -> None:
    warm = Sampling(temperature=1.0)
    assert generate(model, PROMPTS, max_new_tokens=9, sampling=warm, seed=4) == generate(
        model, PROMPTS, max_new_tokens=9, sampling=warm, seed=4
    )
    for narrow in (Sampling(1.0, top_k=1), Sampling(1.0, top_p=1e-6)):
        assert generate(model, PROMPTS, max_new_tokens=9, sampling=narrow) == generate(model, PROMPTS, max_new_tokens=9)


def test_a_penalty_keeps_the_answer_from_repeating_itself_but_not_the_prompt(model: Transformer) -> None:
    strict = Sampling(repetition_penalty=1e9)
    for prompt, answer in zip(PROMPTS, generate(model, PROMPTS, max_new_tokens=12, sampling=strict), strict=True):
        assert len(set(answer)) == len(answer)
        assert answer[0] == generate(model, [prompt], max_new_tokens=1)[0][0]
