"""Where a checkpoint comes from: a folder of this machine, or a commit of the Hugging Face hub."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import BadSettings, TryAgain

# Configuration, tokenizer, chat template and weights, with what the publisher states about them. Not the same weights
# in other formats, nor what stands in folders below.
FILES = ("*.json", "*.jinja", "model*.safetensors", "README.md", "LICENSE*")

_ON_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """What the checkpoint is called where its user names it not."""
        return self.path.resolve().name

    def __str__(self) -> str:
        return f"file:{self.path.resolve().name}"

    def copy(self, target: Path) -> None:
        """Copy the files of the checkpoint into a folder. Raises `BadSettings` when they cannot be read."""
        try:
            for file in {file for pattern in FILES for file in self.path.glob(pattern)}:
                shutil.copyfile(file, target / file.name)
        except PermissionError as error:
            raise BadSettings(f"{error.filename} cannot be read") from error


@dataclass(frozen=True)
class HubCommit:
    """A commit of a model on the Hugging Face hub."""

    repository: str
    commit: str

    @property
    def name(self) -> str:
        """What the checkpoint is called where its user names it not."""
        return self.repository.partition("/")[2]

    def __str__(self) -> str:
        return f"https://huggingface.co/{self.repository}@{self.commit}"

    def copy(self, target: Path) -> None:
        """Fetch the files of the checkpoint into a folder.

        Raises `BadSettings` when the hub does not have them or does not give them, `TryAgain` when it does not answer.
        """
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            snapshot_download(
                self.repository,
                revision=self.commit,
                local_dir=target,
                allow_patterns=list(FILES),
                ignore_patterns=["*/*"],
            )
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise BadSettings(f"the hub has no {self.repository}@{self.commit} for you: {_line(error)}") from error
        except OSError as error:
            raise TryAgain(f"the hub does not give {self.repository}, try again later: {_line(error)}") from error
        shutil.rmtree(target / ".cache", ignore_errors=True)  # its notes about the download


Origin = LocalFolder | HubCommit


def parse(reference: str) -> Origin:
    """The origin that a user names. Raises `BadSettings` for what is neither a folder nor a commit of the hub."""
    if Path(reference).is_dir():
        return LocalFolder(Path(reference))
    found = _ON_HUB.fullmatch(reference)
    if not found:
        raise BadSettings(f"{reference} is no folder, and no commit of the hub (OWNER/NAME@COMMIT)")
    if not _COMMIT.fullmatch(found["revision"]):
        raise BadSettings(
            f"{found['revision']} may become another model: pin {found['repository']} by a commit, 40 hexadecimal "
            "digits that its page on the hub shows under Files, History"
        )
    return HubCommit(found["repository"], found["revision"])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
