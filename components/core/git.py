"""Git, asked about a repository."""

import subprocess
from pathlib import Path

from components.core.errors import BadSettings


def git(root: Path, *arguments: str) -> str:
    """The output of a git command in a folder, stripped. Raises `BadSettings` with git's complaint."""
    return raw(root, *arguments).decode(errors="replace").strip()


def raw(root: Path, *arguments: str) -> bytes:
    """The same, byte for byte, as a patch has to be kept."""
    answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    if answer.returncode != 0:
        raise BadSettings(f"git in {root}: {' '.join(answer.stderr.decode(errors='replace').split())}")
    return answer.stdout
