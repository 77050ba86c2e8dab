"""Speed of the engine under 1, 8 and 32 clients, beside other servers of the same weights.

    python -m benchmarks.serving [--package FOLDER] [--gguf FILE] [--threads 2] [--rounds 3] [--clients 1 8 32]

Each client sends its next request when its last one is answered: a prompt of 48 tokens, 64 more, greedily. All
contenders take turns, so that other load on the machine slows them alike. `--package` is a decoder of ours that
`transformers` loads; without it 4 million random weights are taken. `--gguf` is the same model as `lmforge export gguf`
writes it in f32; it races in llama.cpp, as far as they are installed by `llama_cpp` (one request at a time) and by
`xllamacpp` (its own server, with one slot and with a slot for each client). Times are from sending a request to its
first token and to its last. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

PROMPT, WRITTEN, WINDOW = 48, 64, 256  # tokens
REQUESTS = {1: 6, 8: 32, 32: 96}  # of a turn, by the number of clients
OURS = "ours"


@dataclass
class Load:
    """What the clients of a turn saw: seconds to the first token and to the last, of each request."""

    seconds: float = 0.0
    processor: float = 0.0  # seconds of all threads
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)  # to the first request


Answer = Callable[[Sequence[Sequence[int]], int], Load]
"""Answers prompts that so many clients send."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--threads", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=list(REQUESTS), choices=list(REQUESTS))
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # of PyTorch, in the processes of the contenders
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.package or _random(Path(scratch) / "model")
        made: dict[str, Callable[[], Answer]] = {
            OURS: partial(ours, folder),
            "transformers, one by one": partial(transformers, folder, most=1),
            "transformers, in batches": partial(transformers, folder, most=32),
        }
        if given.gguf and find_spec("llama_cpp"):
            made["llama_cpp"] = partial(llama_cpp, given.gguf, given.threads)
        if given.gguf and find_spec("xllamacpp"):
            made["xllamacpp, one slot"] = partial(xllamacpp, given.gguf, given.threads, slots=1)
            made["xllamacpp, a slot each"] = partial(xllamacpp, given.gguf, given.threads, slots=max(REQUESTS))
        print(json.dumps(race(made, given.clients, given.rounds)))


def race(made: dict[str, Callable[[], Answer]], numbers: Sequence[int], rounds: int) -> dict[str, Any]:
    """Let all take turns; print the tables, and return their values."""
    contenders = {name: Contender(make) for name, make in made.items()}
    found = {}
    for clients in numbers:
        count = REQUESTS[clients]
        loads: dict[str, list[Load]] = {name: [] for name in contenders}
        for number in range(rounds + 1):
            prompts = np.random.default_rng([clients, number]).integers(256, 512, (count, PROMPT)).tolist()
            turns = {name: contender.turn(prompts, clients) for name, contender in contenders.items()}
            if number == 0:  # to warm up
                continue
            print(f"  {clients} clients, round {number}: {_rates(turns, count)}", flush=True)
            for name, load in turns.items():
                loads[name].append(load)
        found[str(clients)] = _table(clients, count, loads)
    for contender in contenders.values():
        contender.end()
    rates = {clients: table[OURS]["tokens_per_second"] for clients, table in found.items()}
    if {"1", "8"} <= rates.keys():
        print(f"\nours with 8 clients: {rates['8'] / rates['1']:.2f} times one client's tokens/s")
    return found


class Contender:
    """A process that answers in turns."""

    def __init__(self, make: Callable[[], Answer]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._here, there = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(there, make), daemon=True)
        self._process.start()

    def turn(self, prompts: Sequence[Sequence[int]], clients: int) -> Load:
        """Answer these prompts, sent by so many clients."""
        self._here.send((prompts, clients))
        load: Load = self._here.recv()
        return load

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _serve(there: Connection, make: Callable[[], Answer]) -> None:
    answer = make()
    while True:
        prompts, clients = there.recv()
        began, used = time.perf_counter(), time.process_time()
        load = answer(prompts, clients)
        load.seconds, load.processor = time.perf_counter() - began, time.process_time() - used
        there.send(load)


def ours(folder: Path) -> Answer:
    """The engine, as it is served."""
    from components.model import hf
    from components.model.cpu_inference import pack
    from components.serving.engine import Drawn, Engine, Finished, Generation, Sampling

    engine = Engine(pack(hf.load(folder)), slots=32, chunk=256, kept=0).__enter__()

    def answer(prompts: Sequence[Sequence[int]], clients: int) -> Load:
        load, waiting, done = Load(), deque(enumerate(prompts)), threading.Semaphore(0)

        def send() -> None:
            if waiting:
                number, prompt = waiting.popleft()
                asked = Generation(tuple(prompt), WRITTEN, frozenset(), Sampling(), seed=0)
                engine.submit(asked, partial(deliver, number, time.perf_counter(), []))

        def deliver(number: int, sent: float, said: list[int], told: Drawn | Finished) -> None:
            if isinstance(told, Drawn):
                if not said:
                    load.first.append(time.perf_counter() - sent)
                said.append(told.token)
                return
            load.whole.append(time.perf_counter() - sent)
            if number == 0:
                load.answer = said
            send()
            done.release()

        for _ in range(clients):
            send()
        for _ in prompts:
            done.acquire()
        return load

    return answer


def transformers(folder: Path, *, most: int) -> Answer:
    """A loop around `generate` of `transformers` in fp32, which takes up to `most` of those that wait as one batch."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # ours does not end at a token either, nor penalise repetition
    settings = {"max_new_tokens": WRITTEN, "do_sample": False, "repetition_penalty": 1.0}

    def write(prompts: Sequence[Sequence[int]], at_first: Callable[[], None]) -> list[list[int]]:
        def seen(ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ARG001 (its callers give it)
            at_first()
            return torch.zeros(len(ids), dtype=torch.bool)

        ids = torch.tensor(prompts)
        said = model.generate(ids, attention_mask=torch.ones_like(ids), stopping_criteria=[seen], **settings)
        answers: list[list[int]] = said[:, PROMPT:].tolist()
        return answers

    return partial(_in_order, write, most)


def llama_cpp(gguf: Path, threads: int) -> Answer:
    """llama.cpp by `llama-cpp-python`, whose server answers one request at a time."""
    from llama_cpp import Llama  # type: ignore[import-not-found,unused-ignore]

    model = Llama(str(gguf), n_ctx=WINDOW, n_threads=threads, verbose=False)

    def write(prompts: Sequence[Sequence[int]], at_first: Callable[[], None]) -> list[list[int]]:
        (prompt,) = prompts
        model.reset()
        said: list[int] = []
        for token in model.generate(prompt, temp=0.0, repeat_penalty=1.0):
            at_first()
            said.append(int(token))
            if len(said) == WRITTEN:
                return [said]
        raise AssertionError("the answer ended too early")

    return partial(_in_order, write, 1)


def xllamacpp(gguf: Path, threads: int, *, slots: int) -> Answer:
    """The server of llama.cpp, which batches continuously when it has several slots, called without HTTP."""
    import xllamacpp as library  # type: ignore[import-not-found,unused-ignore]

    params = library.CommonParams()
    params.model.path = str(gguf)
    params.n_parallel = slots
    params.n_ctx = WINDOW * params.n_parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = library.Server(params)

    def answer(prompts: Sequence[Sequence[int]], clients: int) -> Load:
        load, waiting = Load(), deque(prompts)

        def client() -> None:
            while waiting:
                request = {
                    "prompt": waiting.popleft(), "max_tokens": WRITTEN, "temperature": 0, "stream": True,
                    "ignore_eos": True, "cache_prompt": False,
                }  # fmt: skip
                sent, times = time.perf_counter(), list[float]()
                server.handle_completions(request, lambda _, times=times: times.append(time.perf_counter()) and False)
                load.first.append(times[0] - sent)
                load.whole.append(time.perf_counter() - sent)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return load

    return answer


Write = Callable[[Sequence[Sequence[int]], Callable[[], None]], list[list[int]]]


def _in_order(write: Write, most: int, prompts: Sequence[Sequence[int]], clients: int) -> Load:
    """Answer requests in the order in which they arrive, up to `most` of those that wait at a time."""
    load, left = Load(), deque(prompts)
    began = time.perf_counter()
    waiting = deque((left.popleft(), began) for _ in range(min(clients, len(left))))
    while waiting:
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        firsts: list[float] = []
        answers = write([prompt for prompt, _ in taken], lambda firsts=firsts: firsts.append(time.perf_counter()))  # type: ignore[misc]
        load.answer = load.answer or answers[0]
        now = time.perf_counter()
        load.first += [firsts[0] - sent for _, sent in taken]
        load.whole += [now - sent for _, sent in taken]
        waiting.extend((left.popleft(), now) for _ in range(min(len(taken), len(left))))
    return load


def _random(folder: Path) -> Path:
    """A decoder of 4 million random weights, larger than initial ones, so that the answers are not all one token."""
    from benchmarks.generation import random_model
    from components.model import hf

    hf.save(random_model(WINDOW, depth=4), folder)
    return folder


def _rates(turns: dict[str, Load], count: int) -> str:
    return ", ".join(f"{name} {count * WRITTEN / load.seconds:,.0f} tokens/s" for name, load in turns.items())


def _table(clients: int, count: int, loads: dict[str, list[Load]]) -> dict[str, Any]:
    print(f"\n{'':26} {'tokens/s':>9} {'ours is faster':>18} {'processor':>12} {'first token':>22} {'answer':>21}")
    print(f"{f'{clients} clients':55} {'a token':>12} {'p50, p99':>22} {'p50, p99':>21}")
    found = {}
    for name, turns in loads.items():
        rate = count * WRITTEN / statistics.median(turn.seconds for turn in turns)
        ratios = [theirs.seconds / own.seconds for theirs, own in zip(turns, loads[OURS], strict=True)]
        used = statistics.median(turn.processor for turn in turns) * 1000 / (count * WRITTEN)
        first, whole = (list(_percentiles(turns, kind)) for kind in ("first", "whole"))
        print(
            f"{name:26} {rate:9,.0f} {statistics.median(ratios):6.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            f" {used:9.2f} ms {first[0]:12.1f} {first[1]:7.1f} ms {whole[0]:9.0f} {whole[1]:6.0f} ms",
            flush=True,
        )
        same = [turn.answer for turn in turns] == [turn.answer for turn in loads[OURS]] if turns[0].answer else None
        found[name] = {
            "tokens_per_second": round(rate),
            "processor_ms_per_token": round(used, 2), "ours_is_faster": round(statistics.median(ratios), 2),
            "first_token_ms": first, "answer_ms": whole, "same_tokens": same,
        }  # fmt: skip
    return found


def _percentiles(turns: Sequence[Load], kind: str) -> Iterator[float]:
    times = [seconds * 1000 for turn in turns for seconds in getattr(turn, kind)]
    yield from (round(float(np.percentile(times, share)), 1) for share in (50, 99))


if __name__ == "__main__":
    main()
