"""Sets up .venv with what requirements.lock pins: by uv, which takes seconds, or else by pip.

Called by make as `python3 install.py`, with `--clear` to make .venv anew, and with the standard library alone. What
the package clients print is shown only when neither of them gets to the end.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

VENV = Path(".venv")
PYTHON = str(VENV / "bin" / "python")
LOCKED = ["-r", "requirements.lock"]
ITSELF = ["--no-deps", "--editable", "."]

# uv does not read what pip is configured with; these settings of pip have a variable of uv that means the same.
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


class Failed(Exception):
    """A package client did not do it; the text is all that it printed."""


def main() -> None:
    """Make the environment, or end with what the package clients said."""
    if sys.version_info < (3, 11):  # noqa: UP036, an older one can be what make found
        sys.exit("lmforge needs Python 3.11 or newer: make PYTHON=python3.12")
    began = time.monotonic()
    try:
        call(sys.executable, "-m", "venv", *sys.argv[1:], str(VENV))
        install()
    except Failed as failure:
        sys.exit(f"{failure}\nthe packages were not installed: the reason stands above")
    print(f".venv holds what requirements.lock pins, after {time.monotonic() - began:.0f} s")


def install() -> None:
    """Install with uv, and with pip where that fails."""
    try:
        with_uv()
    except Failed as uv:
        print("uv could not install the packages; pip does it now, which takes some minutes", flush=True)
        try:
            with_pip()
        except Failed as pip:
            raise Failed(f"{uv}\n{pip}") from None


def with_uv() -> None:
    """Install with the uv that is there, or one that the index has."""
    uv = shutil.which("uv")
    if uv is None:
        call(PYTHON, "-m", "pip", "install", "--only-binary", "uv", "uv")
        uv = str(VENV / "bin" / "uv")
    # As pip does: the best version of all indexes, not the first index that has the name.
    os.environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    for name, value in translated(call(PYTHON, "-m", "pip", "config", "list")).items():
        os.environ.setdefault(name, value)
    # Python keeps what it compiled of a package. Where that is forbidden, each process would compile all it imports.
    compiled = ["--compile-bytecode"] if os.environ.get("PYTHONDONTWRITEBYTECODE") else []
    for what in (LOCKED, ITSELF):
        call(uv, "pip", "install", "--python", PYTHON, *compiled, *what)


def with_pip() -> None:
    """Install with pip."""
    for what in (["--upgrade", "pip>=25"], LOCKED, ITSELF):
        call(PYTHON, "-m", "pip", "install", *what)


def translated(listed: str) -> dict[str, str]:
    """The variables of uv that say what `pip config list` prints; of the environment rather than of a file."""
    found = {}
    lines = [line.partition("=") for line in listed.splitlines()]
    for key, _, value in sorted(lines, key=lambda line: line[0].startswith(":env:")):
        variable = VARIABLES.get(key.rpartition(".")[2])
        if variable and key.startswith(("global.", "install.", ":env:.")):
            between = "," if variable == "UV_FIND_LINKS" else " "
            found[variable] = between.join(ast.literal_eval(value).split())
    return found


def call(*command: str) -> str:
    """What a command printed; `Failed` when it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        raise Failed(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
