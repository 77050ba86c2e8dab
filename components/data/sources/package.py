"""Sources of the kind `package`: data files inside a pinned wheel or sdist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Len

from components.core import params
from components.core.errors import BadSettings
from components.data.parsers import PARSERS, Parser
from components.data.sources.archive import open_archive
from components.data.sources.index import fetch
from components.data.sources.source import Source
from components.data.tables.records import Record


@dataclass(frozen=True, kw_only=True)
class PackageSource(Source):
    """A file of the package index, and the parser that reads it."""

    kind: Literal["package"]
    project: str
    version: str
    filename: str
    sha256: Annotated[str, Len(64, 64)]
    parser: str
    options: dict[str, Any] = field(default_factory=dict)  # the parser's own

    @property
    def origin(self) -> str:
        return f"pkg:pypi/{self.project}@{self.version}"  # a package URL, https://github.com/package-url

    def records(self, listed: Mapping[str, str]) -> Iterator[Record]:  # noqa: ARG002, all of it is pinned
        parser = _parser(self.parser, self.options, self.where)
        path = fetch(self.project, self.filename, self.sha256, self.where)
        return parser(open_archive(path), **self.options)


def _parser(name: str, options: dict[str, Any], where: str) -> Parser:
    """The parser of that name, after the options are validated against its signature."""
    if name not in PARSERS:
        raise BadSettings(f"{where}: parser is {name!r}: {params.suggest(name, list(PARSERS))}")
    parser = PARSERS[name]
    known = {option: hint for option, hint in get_type_hints(parser).items() if option not in ("archive", "return")}
    kind = make_dataclass(
        "Options", known.items(), namespace={"__pydantic_config__": {"extra": "forbid"}}, kw_only=True
    )
    params.parse(options, kind, f"{where}: options")
    return parser
