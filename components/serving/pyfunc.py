"""The assistant as MLflow serves it: prompts in, answers out.

MLflow copies this file into the model and runs the copy when it loads it ("models from code"), with the few
modules it imports beside it; nothing is pickled. Its artifacts are the files of a package.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from components.model import hf
from components.model.generation import Sampling, generate
from components.tokenizer.tokenizer import Tokenizer


class Assistant(PythonModel):
    """Answers each prompt by itself, as the user's only message."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read model, tokenizer and the defaults of generation from the package."""
        folder = Path(context.artifacts["config.json"]).parent
        self.model = hf.load(folder)
        self.tokenizer = Tokenizer.load(folder)
        self.defaults: dict[str, Any] = json.loads((folder / "generation_config.json").read_text())

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """The answers to the prompts in the first column.

        `params`: max_new_tokens; temperature (0 takes the likeliest token); top_p; seed.
        """
        asked = self.defaults | dict(params or {})
        room = self.model.config.max_sequence_length - asked["max_new_tokens"]
        answers = generate(
            self.model,
            [self.prompt(str(text), room) for text in model_input.iloc[:, 0]],
            max_new_tokens=asked["max_new_tokens"],
            stop=self.defaults["eos_token_id"],
            sampling=Sampling(
                asked.get("temperature", 0.0),
                top_p=asked.get("top_p"),
                repetition_penalty=self.defaults["repetition_penalty"],
            ),
            seed=asked.get("seed", 0),
        )
        return [self.tokenizer.decode(ids).strip() for ids in answers]

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
