"""The engine against `generate`: whatever runs beside a request, it gets the answer that it would get alone."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData
from components.model import hf
from components.model.config import Traits
from components.model.cpu_inference import pack
from components.model.generation import generate
from components.model.interface import LanguageModel
from components.model.transformer import Transformer
from components.serving.engine import Drawn, Engine, Finished, Generation, Sampling
from tests.components.support import modules, shapes

VOCABULARY, START, WINDOW = 61, 60, 64
OTHERS = Traits(
    sliding_window=7, sliding_layers=(0,), unrotated_layers=(1,), attention_soft_cap=3.0, embedding_scale=2.0
)
KINDS: dict[str, dict[str, Any]] = {
    "decoder": shapes.DECODER,
    "ngrams": shapes.NGRAMS,
    "gemma": shapes.DECODER | {"norm_position": "both", "activation": "geglu", "logit_soft_cap": 5.0},
    "gpt": shapes.DECODER | {"positions": "learned", "norm": "layer", "activation": "gelu", "qk_norm": False},
    "encoder_decoder": shapes.ENCODER_DECODER,
}
DECODERS = [kind for kind in KINDS if kind != "encoder_decoder"]
SAMPLINGS = [
    Sampling(),
    Sampling(1.0),
    Sampling(0.8, top_k=9, repetition_penalty=1.3),
    Sampling(repetition_penalty=1.5, presence_penalty=0.5, frequency_penalty=0.2, logit_bias={3: 2.0, 5: -4.0}),
]


def lively(kind: str) -> Transformer:
    """A model whose answers are not all the same token, as it is served."""
    config = replace(shapes.config(**KINDS[kind]), vocab_size=VOCABULARY, max_sequence_length=WINDOW)
    made = shapes.model(replace(config, traits=OTHERS if kind == "gemma" else Traits()))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim == 2 and ".mlp." in name:
                weight.mul_(4)
    pack(made)
    return made


MODELS = {kind: lively(kind) for kind in KINDS}


def engine(kind: str = "decoder", *, slots: int = 3, chunk: int = 8, kept: int = 96) -> Engine:
    return Engine(MODELS[kind], slots=slots, chunk=chunk, kept=kept, start=START)


def asked(prompt: Sequence[int], count: int = 8, **changes: Any) -> Generation:
    made = Generation(prompt=tuple(prompt), max_new_tokens=count, stop_tokens=frozenset(), sampling=Sampling(), seed=0)
    return replace(made, **changes)


def answer(model: LanguageModel, request: Generation) -> list[int]:
    (tokens,) = generate(
        model, [request.prompt], max_new_tokens=request.max_new_tokens, start=START, stop=request.stop_tokens,
        sampling=request.sampling, seed=request.seed,
    )  # fmt: skip
    return tokens


def expected(kind: str, request: Generation) -> list[int]:
    return answer(MODELS[kind], request)


@dataclass
class Client:
    """Collects what a request is told, and does something after so many messages."""

    after: int = -1
    then: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.told: list[Drawn | Finished] = []
        self.done = threading.Event()

    def __call__(self, message: Drawn | Finished) -> None:
        self.told.append(message)
        if len(self.told) == self.after:
            self.then()
        if isinstance(message, Finished):
            self.done.set()

    @property
    def tokens(self) -> list[int]:
        return [message.token for message in self.told if isinstance(message, Drawn)]

    def end(self) -> Finished:
        assert self.done.wait(60)
        assert isinstance(self.told[-1], Finished)
        assert sum(isinstance(message, Finished) for message in self.told) == 1
        return self.told[-1]


def ask(running: Engine, *requests: Generation) -> list[Client]:
    clients = [Client() for _ in requests]
    for request, client in zip(requests, clients, strict=True):
        running.submit(request, client)
    for client in clients:
        client.end()
    return clients


BEGINNING = [(7 * number) % VOCABULARY for number in range(40)]
tokens = st.integers(0, VOCABULARY - 1)
prompts = st.builds(
    lambda alike, rest: BEGINNING[:alike] + rest, st.integers(0, 40), st.lists(tokens, min_size=1, max_size=8)
)
requests = st.builds(
    asked, prompts, st.integers(1, 16), sampling=st.sampled_from(SAMPLINGS), seed=st.integers(0, 3),
    stop_tokens=st.frozensets(tokens, max_size=3),
)  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    batch=st.lists(st.tuples(requests, st.integers(1, 4), st.sampled_from([None, None, 1, 3])), min_size=1, max_size=7),
    slots=st.integers(1, 4),
    chunk=st.sampled_from([1, 8, 64]),
    kept=st.sampled_from([0, 48, 1000]),
)
def test_an_answer_does_not_depend_on_what_runs_beside_it(
    kind: str, batch: list[tuple[Generation, int, int | None]], slots: int, chunk: int, kept: int
) -> None:
    """Each request arrives after some tokens of the one before it, and some are cancelled after some of theirs."""
    with engine(kind, slots=slots, chunk=chunk, kept=kept) as running:
        clients = [Client(after) for _, after, _ in batch]
        cancelling: list[Client] = []

        def submit(number: int) -> None:
            if number == len(batch):
                return
            request, _, cancel = batch[number]
            follow = clients[number]
            follow.then = lambda: submit(number + 1)
            if cancel is not None:
                cancelling.append(follow)
            ticket = running.submit(request, lambda told: deliver(told, follow, cancel))
            tickets[id(follow)] = ticket

        def deliver(told: Drawn | Finished, client: Client, cancel: int | None) -> None:
            client(told)
            if isinstance(told, Finished) and len(client.told) < client.after:
                client.then()
            if cancel is not None and len(client.tokens) == cancel:
                tickets[id(client)].cancel()

        tickets: dict[int, Any] = {}
        submit(0)
        ends = [client.end() for client in clients]
        assert running.figures().running == running.figures().waiting == 0
    for (request, _, cancel), client, end in zip(batch, clients, ends, strict=True):
        whole = expected(kind, request)
        if end.reason == "cancelled":
            assert cancel is not None
            assert client.tokens == whole[:cancel]
        else:
            assert end.reason == ("length" if len(whole) == request.max_new_tokens else "stop")
            assert client.tokens == whole


@pytest.mark.parametrize("kind", DECODERS)
def test_what_was_read_is_not_read_again(kind: str) -> None:
    first, second = asked(BEGINNING), asked([*BEGINNING[:37], 1, 2])
    with engine(kind) as running:
        ask(running, first)
        assert running.figures().reused == 0
        (client,) = ask(running, second)
        told = running.figures()
        assert (told.reused, told.prefix_hits, told.read) == (32, 1, 40 + 39 - 32)
        assert client.tokens == expected(kind, second)
        conversation = asked([*second.prompt, *client.tokens, 9])
        (client,) = ask(running, conversation)
        assert running.figures().reused == 32 + 32
        assert client.tokens == expected(kind, conversation)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_modules_of_transformers_answer_one_request_at_a_time(kind: str, tmp_path: Path) -> None:
    modules.made(kind).save_pretrained(tmp_path)
    model = hf.load(tmp_path)
    both = asked([5, 9, 2, 7]), asked([8, 3], 6, sampling=Sampling(1.0))
    with Engine(model, slots=4, chunk=2, kept=96, start=START) as running:
        clients = ask(running, *both)
    for request, client in zip(both, clients, strict=True):
        assert client.tokens == answer(model, request)


def test_a_long_prompt_does_not_keep_the_others_waiting() -> None:
    """Between two tokens of an answer no more than a chunk of prompts is read."""
    with engine(chunk=4, kept=0) as running:
        read: list[int] = []
        short, long = Client(), Client()
        running.submit(asked([5], 20), lambda told: (short(told), read.append(running.figures().read))[0])
        running.submit(asked([*BEGINNING, *BEGINNING[:10]]), long)
        assert short.end().reason == long.end().reason == "length"
    assert max(after - before for before, after in pairwise(read)) <= 4
    assert read[-1] > 40


def test_a_short_prompt_overtakes_a_long_one() -> None:
    with engine(chunk=4, kept=0) as running:
        order: list[str] = []
        clients = Client(1, lambda: order.append("long")), Client(1, lambda: order.append("short"))
        running.submit(asked(BEGINNING, 1), clients[0])
        running.submit(asked([5], 1), clients[1])
        for client in clients:
            client.end()
    assert order == ["short", "long"]


def test_one_that_waits_can_be_cancelled_and_its_place_is_taken() -> None:
    with engine(slots=1) as running:
        first, second, third = Client(), Client(), Client()
        tickets = [running.submit(asked(BEGINNING[:9], 40), first), running.submit(asked([1]), second)]
        running.submit(asked([2]), third)
        for ticket in reversed(tickets):
            ticket.cancel()
        assert first.end() == second.end() == Finished("cancelled")
        assert second.told == [Finished("cancelled")]
        assert third.end().reason == "length"
        running.drain()


def test_closing_ends_all_as_cancelled() -> None:
    clients = [Client() for _ in range(4)]
    with engine(slots=2) as running:
        for client in clients:
            running.submit(asked([1], 50), client)
    assert [client.end().reason for client in clients] == ["cancelled"] * 4
    with pytest.raises(RuntimeError, match="closed"):
        running.submit(asked([1]), Client())


@pytest.mark.parametrize(
    "request_",
    [
        asked([]), asked([1], 0), asked([1] * 60, 5), asked([1, VOCABULARY]), asked([-1]),
        asked([1], sampling=Sampling(logit_bias={VOCABULARY: 1.0})),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(request_: Generation) -> None:
    with engine() as running, pytest.raises(BadData):
        running.submit(request_, Client())


def test_log_probabilities_are_those_of_the_model() -> None:
    request = asked(BEGINNING[:5], 4, logprobs=3, sampling=Sampling(1.0, logit_bias={3: 50.0}))
    with engine() as running:
        (client,) = ask(running, request)
    assert client.tokens == [3] * 4
    logits_TV = MODELS["decoder"](torch.tensor([[*request.prompt, 3, 3, 3]])).detach()[0, 4:].log_softmax(-1)
    for told, of_model_V in zip(client.told, logits_TV, strict=False):
        assert isinstance(told, Drawn)
        assert told.logprob == pytest.approx(float(of_model_V[3]), abs=1e-4)
        best = of_model_V.topk(3)
        assert [token for token, _ in told.alternatives] == best.indices.tolist()
        assert [value for _, value in told.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_a_constraint_leaves_only_what_it_allows() -> None:
    def odd_then_even(said: Sequence[int]) -> torch.Tensor | None:
        return torch.arange(VOCABULARY) % 2 != len(said) % 2 if len(said) < 6 else None

    def nothing(_said: Sequence[int]) -> torch.Tensor:
        return torch.zeros(VOCABULARY, dtype=torch.bool)

    def broken(_said: Sequence[int]) -> torch.Tensor:
        raise ValueError("no such state")

    with engine() as running:
        free, odd, none, failed = ask(
            running, *(asked([4, 5], allowed=allowed) for allowed in (None, odd_then_even, nothing, broken))
        )
    assert free.tokens == expected("decoder", asked([4, 5]))
    assert [token % 2 for token in odd.tokens[:6]] == [1, 0, 1, 0, 1, 0]
    assert none.end() == Finished("error", "constraint: no token may follow")
    assert failed.end() == Finished("error", "constraint: ValueError: no such state")


def test_a_receiver_that_fails_does_not_stop_the_others() -> None:
    def fails(_told: Drawn | Finished) -> None:
        raise ConnectionError("gone")

    with engine() as running:
        running.submit(asked([1], 30), fails)
        (client,) = ask(running, asked([2], 20))
        running.drain()
        assert running.figures().generated < 30
    assert client.tokens == expected("decoder", asked([2], 20))


def test_a_step_that_fails_is_told_and_the_engine_goes_on() -> None:
    model = lively("decoder")

    def fails(_module: torch.nn.Module, _inputs: object) -> None:
        hook.remove()
        raise MemoryError("no room")

    assert model.decoder is not None
    hook = model.decoder.register_forward_pre_hook(fails)
    with Engine(model, slots=2, chunk=8, kept=0) as running:
        (client,) = ask(running, asked([1]))
        assert client.end() == Finished("error", "MemoryError: no room")
        (client,) = ask(running, asked([2]))
    assert client.tokens == expected("decoder", asked([2]))
