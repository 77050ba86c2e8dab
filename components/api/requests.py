"""The requests of OpenAI's API that this server answers, with what else the served models can do.

A field that would change the answer and that no model here can follow is refused by name, never ignored; those that
change nothing (`user`, `metadata`, ...) are accepted. https://platform.openai.com/docs/api-reference
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenName = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]  # an id, as the keys of JSON are texts
Finite = Annotated[float, Field(allow_inf_nan=False)]
Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StreamOptions(_Request):
    """What a stream has besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool = False  # asked for by newer clients; nothing is obfuscated here


class Structure(_Request):
    """What an answer has to be, as in vLLM: one of some texts, or what a regular expression matches."""

    choice: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1000)] | None = None
    regex: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None


class JsonSchema(_Request):
    """A schema that an answer follows."""

    name: str = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")] = {}
    strict: bool | None = None  # an answer follows the schema in any case


class ResponseFormat(_Request):
    """Text, any JSON object, or JSON that follows a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Generating(_Request):
    """What requests for generated text have in common. What is left out is as the package of the model has it."""

    model: Annotated[str, Field(max_length=200, examples=["assistant", "assistant@challenger", "assistant@3"])]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] = 1
    temperature: Annotated[Finite, Field(ge=0, le=100)] | None = None
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    repetition_penalty: Annotated[Finite, Field(ge=1, le=100)] | None = None
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    logit_bias: dict[TokenName, Annotated[Finite, Field(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: Structure | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def by(self) -> str | None:
        """Who asks, by OpenAI's older or newer name for it."""
        return self.user or self.safety_identifier

    @property
    def constrained(self) -> bool:
        """Whether an answer has to be something."""
        form = self.response_format
        return self.structured_outputs is not None or (form is not None and form.type != "text")

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class TextPart(_Request):
    """A part of a message: text, as no model here reads anything else."""

    type: Literal["text"]
    text: str


class ChatMessage(_Request):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart]
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content, its parts put together."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Generating):
    """POST /v1/chat/completions"""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class CompletionRequest(Generating):
    """POST /v1/completions"""

    prompt: (
        str
        | Annotated[list[TokenId], Field(min_length=1)]
        | Annotated[list[str] | list[Annotated[list[TokenId], Field(min_length=1)]], Field(min_length=1)]
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, as texts or ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]  # of numbers alone
        return list(self.prompt)


class EmbeddingRequest(_Request):
    """POST /v1/embeddings"""

    model: Annotated[str, Field(max_length=200)]
    input: (
        str
        | Annotated[list[TokenId], Field(min_length=1)]
        | Annotated[list[str] | list[Annotated[list[TokenId], Field(min_length=1)]], Field(min_length=1)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None

    @property
    def inputs(self) -> list[str | list[int]]:
        """The texts, or their ids."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]  # of numbers alone
        return list(self.input)


Inputs = Annotated[dict[str, str], Field(max_length=100)]


class TaskRequest(_Request):
    """POST /v1/tasks/NAME"""

    model: Annotated[str, Field(max_length=200)]
    inputs: Inputs | Annotated[list[Inputs], Field(min_length=1)]
    user: str | None = None


class ClassifyRequest(_Request):
    """POST /v1/classify"""

    model: Annotated[str, Field(max_length=200)]
    task: str | None = None  # where the model was trained on only one that has labels
    input: str | Inputs | Annotated[list[str | Inputs], Field(min_length=1)]
    user: str | None = None


class FeedbackRequest(_Request):
    """POST /v1/feedback: what a user says about an answer."""

    id: Annotated[str, Field(max_length=100)]  # of the response
    choice: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    thumb: Literal["up", "down"] | None = None
    corrected: Annotated[str, Field(min_length=1)] | None = None  # what the answer should have been
    consent: bool = False  # that a model is trained on it
    user: str | None = None
