"""The assistant as an MLflow model: prompts or conversations in, answers out.

MLflow copies this file into the model and runs the copy when it loads it ("models from code"), with the few
modules that it imports; nothing is pickled. Its artifacts are the files of a package.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from components.core.errors import BadData, BadSettings, StageError
from components.serving import answering, request
from components.serving.answering import Labeller
from components.tokenizer.tokenizer import Message

Params = Mapping[str, Any]
NAMES = ("messages", "prompt", "input")  # of the prompt, in an object that asks for one answer


class Assistant(PythonModel):
    """Answers each prompt or conversation independently."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read model, tokenizer and the defaults of generation from the package."""
        self.model = answering.load(Path(context.artifacts["config.json"]).parent)
        _check_before_mlflow()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 (MLflow passes it by name)
        model_input: pd.DataFrame,
        params: Params | None = None,
    ) -> list[str]:
        """The answers: generated, or by an encoder, a label or a part of the prompt.

        The rows of `model_input` are texts (the user's only message) or lists of messages. `params`, of a generative
        model, are those of `components.serving.request.Options`.
        """
        with _as_bad_request():
            conversations, asked = _parse(model_input, params)
            if isinstance(self.model, Labeller):
                return self.model.answers(conversations)
            return self.model.answers(conversations, self.model.defaults.having(asked))

    def checked_request(self, model_input: object, params: Params | None) -> tuple[pd.DataFrame, Params]:
        """A request in the form that MLflow passes on unchanged: a column of conversations, and the parameters.

        Raises `MlflowException`, which a server answers with 400, for anything that a model does not know or accept.
        """
        with _as_bad_request():
            conversations, asked = _parse(model_input, params)
            if not isinstance(self.model, Labeller):
                self.model.defaults.having(asked)
            elif asked:
                raise BadSettings(f"`{next(iter(asked))}` is not a parameter: a model that labels has none")
        return pd.DataFrame({"conversation": conversations}, dtype=object), asked


def _parse(model_input: object, params: Params | None) -> tuple[list[list[Message]], Params]:
    """The conversations of a request and its parameters, some of which may be given next to the prompt."""
    prompts, beside = _prompts(_plain(model_input))
    conversations = []
    for number, prompt in enumerate(prompts, start=1):
        try:
            conversations.append(request.conversation(prompt))
        except BadData as error:
            raise BadData(f"prompt {number}: {error}") from None
    if not isinstance(params or {}, Mapping):
        raise BadSettings("params should be an object of names and values")
    return conversations, {**beside, **(params or {})}


def _prompts(asked: object) -> tuple[list[object], Params]:
    """Each prompt by itself, and the parameters next to it in an object such as `{"messages": [...], "seed": 1}`."""
    if not isinstance(asked, Mapping):
        return [_only_value(prompt) for prompt in asked] if isinstance(asked, list) else [asked], {}
    names = asked.keys() & set(NAMES) if len(asked) > 1 else asked.keys()
    if len(names) != 1:
        raise BadData(f"an object should have one of {', '.join(NAMES)}: this one has {', '.join(asked) or 'nothing'}")
    [name] = names
    prompt = asked[name]
    beside = {other: value for other, value in asked.items() if other != name}
    return prompt if isinstance(prompt, list) and name != "messages" else [prompt], beside


def _only_value(prompt: object) -> object:
    """The value of an object with one name, which is a row of a table; anything else unchanged."""
    return next(iter(prompt.values())) if isinstance(prompt, Mapping) and len(prompt) == 1 else prompt


def _plain(value: object) -> object:
    """Tables and arrays as lists, at any depth."""
    if isinstance(value, pd.DataFrame):
        if len(value.columns) != 1:
            raise BadData(f"a table should have one column of prompts: this one has {', '.join(map(str, value))}")
        value = value.iloc[:, 0]
    if isinstance(value, np.ndarray | pd.Series):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


@contextmanager
def _as_bad_request() -> Iterator[None]:
    """Context manager that turns errors in a request into MLflow's error, which a server answers with 400."""
    try:
        yield
    except StageError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from None


def _check_before_mlflow() -> None:
    """Make MLflow pass each request through the model's `checked_request` first, if it has one.

    By itself it drops the parameters and columns that the signature does not name before the model sees them, so
    that a misspelt name would change nothing, without an error.
    docs/decisions.md, "Requests are checked before MLflow looks at them"
    """
    predict = PyFuncModel.predict
    if getattr(predict, "checks_requests", False):
        return

    @functools.wraps(predict)
    def checked(self: PyFuncModel, data: Any, params: Any = None) -> Any:
        model = getattr(self._model_impl, "python_model", None)
        if check := getattr(model, "checked_request", None):
            data, params = check(data, params)
        return predict(self, data, params)

    checked.checks_requests = True  # type: ignore[attr-defined]
    PyFuncModel.predict = checked  # type: ignore[method-assign]


mlflow.models.set_model(Assistant())
