"""The assistant as MLflow serves it: prompts in, answers out.

MLflow copies this file into the model and runs the copy when it loads it ("models from code"), with the few
modules it imports beside it; nothing is pickled. Its artifacts are the files of a package.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from components.model import hf, labelling
from components.model.generation import Sampling, generate
from components.model.packed import pack
from components.tokenizer.text import before, stopped
from components.tokenizer.tokenizer import Tokenizer


class Assistant(PythonModel):
    """Answers each prompt by itself, as the user's only message."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read model, tokenizer and the defaults of generation from the package."""
        folder = Path(context.artifacts["config.json"]).parent
        self.model = pack(hf.load(folder))
        self.tokenizer = Tokenizer.load(folder)
        if not self.model.config.labels:
            self.defaults: dict[str, Any] = json.loads((folder / "generation_config.json").read_text())

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """The answers to the prompts in the first column: written, or by an encoder, a label or a part of the prompt.

        `params`, where it writes: max_new_tokens; temperature (0 takes the likeliest token); top_p; seed; stop (texts
        that end an answer, left out).
        """
        texts = [str(text) for text in model_input.iloc[:, 0]]
        return self.label(texts) if self.model.config.labels else self.write(texts, params or {})

    def label(self, texts: Sequence[str]) -> list[str]:
        """The label of each text, or what the model marks in it."""
        prompts = [self.prompt(text, self.model.config.max_sequence_length) for text in texts]
        return [
            said if isinstance(said, str) else self.tokenizer.decode(prompt[said]).strip()
            for prompt, said in zip(prompts, labelling.reply(self.model, prompts), strict=True)
        ]

    def write(self, texts: Sequence[str], params: Mapping[str, Any]) -> list[str]:
        """What the model writes to each text."""
        asked = self.defaults | dict(params)
        stop = list(asked.get("stop", ()))
        room = self.model.config.room(asked["max_new_tokens"])
        answers = generate(
            self.model,
            [self.prompt(text, room) for text in texts],
            max_new_tokens=asked["max_new_tokens"],
            start=self.tokenizer.end_of_text,
            stop=self.defaults["eos_token_id"],
            ended=stopped(self.tokenizer, stop) if stop else None,
            sampling=Sampling(
                asked.get("temperature", 0.0),
                top_p=asked.get("top_p"),
                repetition_penalty=self.defaults["repetition_penalty"],
            ),
            seed=asked.get("seed", 0),
        )
        return [before(self.tokenizer.decode(ids), stop).strip() for ids in answers]

    def prompt(self, text: str, room: int) -> list[int]:
        """The ids of the user's message, cut at its end until they take at most `room` tokens."""
        while len(ids := self.tokenizer.chat_prompt([{"role": "user", "content": text}])) > room:
            if not text:
                raise MlflowException.invalid_parameter_value(
                    f"max_new_tokens leaves {room} of {self.model.config.max_sequence_length} tokens for the prompt"
                )
            kept = self.tokenizer.encode(text)[: room - len(ids)]
            text = self.tokenizer.decode(kept).rstrip("\ufffd")
        return ids


mlflow.models.set_model(Assistant())
