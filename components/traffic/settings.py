"""The setting `serve.log` of `params.yaml`."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Gt, Le


@dataclass(frozen=True, kw_only=True)
class KeepAnswers:
    """Which requests are kept with their answers, and how many megabytes of them."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    share: Annotated[float, Gt(0), Le(1)]  # of the requests
    file_megabytes: Annotated[float, Gt(0)]  # of one file; then the next one begins
    max_megabytes: Annotated[float, Gt(0)]  # of all files; then the oldest leaves

    def __post_init__(self) -> None:
        if self.file_megabytes > self.max_megabytes:
            raise ValueError("file_megabytes is more than max_megabytes: a file is one of several")
