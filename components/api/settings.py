"""The section `serve` of `params.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from components.traffic.settings import KeepAnswers


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Where the server listens, how it follows the registry, and its limits."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    with_up: bool  # `lmforge up` starts it
    host: Annotated[str, MinLen(1)]
    port: Annotated[int, Ge(1), Le(65535)]
    follow_seconds: Annotated[float, Gt(0)]  # between two looks at the aliases
    kept_versions: Annotated[int, Ge(1)]  # loaded beside the champions, as requests asked for them by name
    max_concurrent: Annotated[int, Ge(1)]  # requests that are answered at a time
    max_queued: Annotated[int, Ge(0)]  # requests that wait for their turn; further ones are refused
    max_wait_seconds: Annotated[float, Gt(0)]  # in the queue
    timeout_seconds: Annotated[float, Gt(0)]  # of an answer
    max_body_kilobytes: Annotated[int, Ge(1)]
    max_new_tokens: Annotated[int, Ge(1)]  # of an answer, whatever a request asks for
    max_answers: Annotated[int, Ge(1)]  # of a request: its prompts times n
    prompt_chunk: Annotated[int, Ge(1)]  # tokens of prompts that are read between two tokens of the answers under way
    kept_prefix_tokens: Annotated[int, Ge(0)]  # of prompts, kept for others that begin alike
    shadow: Annotated[float, Gt(0), Le(1)] | None = None  # of the requests: @challenger answers too, unseen
    canary: Annotated[float, Gt(0), Le(0.5)] | None = None  # of the requests: @challenger answers instead
    log: KeepAnswers | None = None  # requests and answers are kept; unset: none
    requests_per_minute: Annotated[int, Ge(1)] | None = None  # of each key, or without keys of each address
    keys: Path | None = None  # a file of hashes, from `lmforge serve-key`; unset: everybody is answered
    cors_origins: tuple[str, ...] | None = None  # web pages of other origins that may call; unset: none
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or neither")
