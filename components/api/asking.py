"""What a request asks of a model that generates, within the limits of server and model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from components.api.errors import ApiError
from components.api.loaded import Loaded
from components.api.settings import Serve
from components.core.errors import BadSettings, StageError
from components.serving.answering import AnswerWriter, Conversation
from components.tasks import prompts
from components.tasks.prompts import TooLong


def writer(version: Loaded, what: str) -> AnswerWriter:
    """The model, if it generates. Raises `ApiError` for one that labels."""
    if isinstance(version.model, AnswerWriter):
        return version.model
    raise ApiError(400, f"{version.version.name} labels, and has no {what}: ask /v1/classify", param="model")


def max_new_tokens(asked: int | None, model: AnswerWriter, settings: Serve) -> int:
    """The length of an answer at most: what is asked, or as in the package. Raises `ApiError` above the limit."""
    if asked is None:
        return min(model.defaults.max_new_tokens, settings.max_new_tokens)
    if asked > settings.max_new_tokens:
        message = f"max_tokens is {asked}: this server writes at most {settings.max_new_tokens}"
        raise ApiError(400, message, param="max_tokens")
    return asked


def check_answers(count: int, settings: Serve) -> None:
    """Raise `ApiError` when a request asks for more answers than one may."""
    if count > settings.max_answers:
        raise ApiError(400, f"{count} answers are asked for: a request may have {settings.max_answers}", param="n")


def of_conversation(model: AnswerWriter, conversation: Conversation, new_tokens: int) -> tuple[int, ...]:
    """The ids that the model reads of a conversation, cut as chat cuts them. Raises `ApiError`."""
    with as_api_error("messages"):
        return tuple(model.prompt(conversation, replace(model.defaults, max_new_tokens=new_tokens)))


def of_text(model: AnswerWriter, asked: str | list[int], new_tokens: int) -> tuple[int, ...]:
    """The ids that the model reads of a text, as the beginning of a document; ids are taken as they are.

    Nothing is cut. Raises `ApiError`.
    """
    config = model.model.config
    room = config.max_prompt_tokens(new_tokens)
    if room < 1:
        message = f"max_tokens is {new_tokens}: it should be at most {config.max_sequence_length - 1}"
        raise ApiError(400, message, param="max_tokens")
    if isinstance(asked, str):
        with as_api_error("prompt"):
            return tuple(prompts.of_text(asked, model.tokenizer, room))
    if unknown := next((token for token in asked if token >= config.vocab_size), None):
        raise ApiError(400, f"the prompt has the token {unknown}, and there are {config.vocab_size}", param="prompt")
    if len(asked) > room:
        raise too_long(f"the prompt has {len(asked)} tokens, and at most {room} fit: shorten it", "prompt")
    return tuple(asked)


@contextmanager
def as_api_error(param: str) -> Iterator[None]:
    """Refuse what a model refuses, in the form of OpenAI's API."""
    try:
        yield
    except TooLong as error:
        raise too_long(str(error), param) from None
    except BadSettings as error:  # the window leaves no room for a prompt
        raise ApiError(400, str(error), param="max_tokens") from None
    except StageError as error:
        raise ApiError(400, str(error), param=param) from None


def too_long(message: str, param: str) -> ApiError:
    """The refusal of a prompt that does not fit."""
    return ApiError(400, message, code="context_length_exceeded", param=param)
