"""Who reads an export: ourselves and other libraries, asked for the same three things.

Shapes: T tokens of a row, V tokens of the vocabulary.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from components.model import generation, hf
from components.tokenizer.tokenizer import Message, Tokenizer


class ExportReader(Protocol):
    """A library that has loaded a model."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without what stands before and behind it."""

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation by the chat template, with the opened turn of the assistant."""

    def logits(self, row: Sequence[int]) -> np.ndarray:
        """The logits after each token, [T, V]."""

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        """The greedy answer to each prompt, up to a stop token (left out) or this many tokens."""


class Ours:
    """The package in our own layers and tokenizer, without the faster layout of inference."""

    def __init__(self, package: Path) -> None:
        self.model = hf.load(package)
        self.tokenizer = Tokenizer.load(package)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_batch(texts)

    def chat(self, messages: Sequence[Message]) -> list[int]:
        return self.tokenizer.chat_prompt(messages)

    @torch.inference_mode()
    def logits(self, row: Sequence[int]) -> np.ndarray:
        found: np.ndarray = self.model.logits(torch.tensor([row]))[0].numpy()
        return found

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        return generation.generate(self.model, prompts, max_new_tokens=length, stop=stop)


class WithTransformers:
    """A folder in `transformers`."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return found

    def chat(self, messages: Sequence[Message]) -> list[int]:
        found: list[int] = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_dict=False
        )
        return found

    @torch.inference_mode()
    def logits(self, row: Sequence[int]) -> np.ndarray:
        found: np.ndarray = self._model(torch.tensor([row])).logits[0].numpy()
        return found

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        return [self._answer(prompt, length, stop) for prompt in prompts]

    @torch.inference_mode()
    def _answer(self, prompt: Sequence[int], length: int, stop: Collection[int]) -> list[int]:
        tokens_BT = torch.tensor([prompt])
        found = self._model.generate(
            tokens_BT,
            attention_mask=torch.ones_like(tokens_BT),
            max_new_tokens=length,
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=list(stop),
        )
        return until(found[0, len(prompt) :].tolist(), stop)


class WithOnnxRuntime:
    """An ONNX file in onnxruntime, with the tokenizer of its folder in `transformers`."""

    def __init__(self, file: Path) -> None:
        import onnxruntime
        from transformers import AutoTokenizer

        self._session: Any = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = AutoTokenizer.from_pretrained(file.parent)

    ids = WithTransformers.ids
    chat = WithTransformers.chat

    def logits(self, row: Sequence[int]) -> np.ndarray:
        (found,) = self._session.run(["logits"], {"input_ids": np.array([row], np.int64)})
        logits: np.ndarray = found[0]
        return logits

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        return [self._answer(prompt, length, stop) for prompt in prompts]

    def _answer(self, prompt: Sequence[int], length: int, stop: Collection[int]) -> list[int]:
        row = list(prompt)
        while len(row) < len(prompt) + length and (token := int(self.logits(row)[-1].argmax())) not in stop:
            row.append(token)
        return row[len(prompt) :]


class WithLlamaCpp:
    """A GGUF file in llama.cpp by `llama-cpp-python`, with its keys and values in f32, as ours are.

    `window`: tokens that it has room for. docs/export.md says how to install it.
    """

    def __init__(self, file: Path, window: int) -> None:
        import llama_cpp
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._llama: Any = llama_cpp.Llama(
            str(file),
            n_ctx=window,
            n_batch=window,
            n_ubatch=window,
            n_threads=1,  # more spin at barriers while other processes have the cores
            n_threads_batch=1,
            logits_all=True,
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            flash_attn=False,
            verbose=False,
        )
        template, vocabulary = self._llama.metadata["tokenizer.chat_template"], self._llama.metadata
        names = [self._name(int(vocabulary[f"tokenizer.ggml.{role}_token_id"])) for role in ("eos", "bos")]
        self._template: Any = Jinja2ChatFormatter(template, *names)

    def _name(self, token: int) -> str:
        name: str = self._llama._model.token_get_text(token)
        return name

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._llama.tokenize(text.encode(), add_bos=False, special=False) for text in texts]

    def chat(self, messages: Sequence[Message]) -> list[int]:
        prompt: str = self._template(messages=list(messages)).prompt
        found: list[int] = self._llama.tokenize(prompt.encode(), add_bos=False, special=True)
        return found

    def logits(self, row: Sequence[int]) -> np.ndarray:
        self._llama.reset()
        self._llama.eval(list(row))
        found: np.ndarray = self._llama.scores[: len(row)].copy()
        return found

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        return [self._answer(prompt, length, stop) for prompt in prompts]

    def _answer(self, prompt: Sequence[int], length: int, stop: Collection[int]) -> list[int]:
        tokens: list[int] = []
        for token in self._llama.generate(list(prompt), temp=0.0, repeat_penalty=1.0):
            if token in stop or len(tokens) == length:
                break
            tokens.append(token)
        return tokens

    def close(self) -> None:
        """Free the memory of the model."""
        self._llama.close()


def until(tokens: Sequence[int], stop: Collection[int]) -> list[int]:
    """The tokens before the first stop token."""
    end = next((place for place, token in enumerate(tokens) if token in stop), len(tokens))
    return list(tokens[:end])
