"""Who is champion through a kill at any moment, and when two commands come at once."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.core.errors import TryAgain
from components.registry import champion, ledger, store, transaction
from tests.components.support.decisions import NAME, holds, judge, kinds, release
from tests.flows.support.running import wait_until

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("registry")


COMMANDS: dict[str, Callable[[], str]] = {
    "promote": lambda: champion.promote(NAME, 3, "better"),
    "approve": lambda: champion.approve(NAME, 3, "Ann", "looks good"),
    "rollback": lambda: champion.rollback(NAME, "Ann", "bad answers"),
}
WRITES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_registered_model_tag",
    "set_model_version_tag",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_between_any_two_moves_is_put_right_by_the_next_command(
    registry: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    release(1, 2)
    judge(3)
    for moment in range(100):
        shutil.copytree(registry / ".lmforge", registry / f"{moment}/.lmforge")
        monkeypatch.chdir(registry / str(moment))
        ended = killed_before(moment, COMMANDS[command])
        assert store.aliases(NAME)["champion"] in (1, 2, 3)
        was_written = kinds()[5:]
        assert transaction.examine([NAME]).faults == []
        judge(4)  # the next command
        assert holds()
        if command == "rollback":
            assert store.aliases(NAME) == {"champion": 1, "previous": 2, "challenger": 4}
        elif "promotion" in was_written:
            assert store.aliases(NAME) == {"champion": 3, "previous": 2, "challenger": 4}
        else:  # killed after the approval, before anything was promoted
            assert store.aliases(NAME) == {"champion": 2, "previous": 1, "challenger": 4}
        if ended == 0:
            break
        assert ended == signal.SIGKILL
        assert kinds()[5 + len(was_written) :] == ["repair", "decision"]
    assert moment >= 3, "there were fewer moments than moves"
    assert kinds()[-1] == "decision"


def killed_before(moment: int, command: Callable[[], str]) -> int:
    """Do the command in a process that is killed before that write to the registry, counted from 0; how it ended."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    writes = itertools.count()
    for name in WRITES:
        setattr(MlflowClient, name, _mortal(getattr(MlflowClient, name), writes, moment))
    command()
    os._exit(0)


def _mortal(write: Callable[..., None], writes: Iterator[int], moment: int) -> Callable[..., None]:
    def call(*arguments: Any, **named: Any) -> None:
        if next(writes) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        write(*arguments, **named)

    return call


def test_of_two_at_once_one_wins_and_the_other_is_told() -> None:
    release(1)
    judge(2)
    judge(3)
    commands = [
        "champion.approve('model', 2, 'Ann', 'mine')",
        "champion.approve('model', 3, 'Bo', 'mine', anyway=True)",
    ]
    with ledger.opened(NAME):
        children = [start(command) for command in commands]
        wait_until(lambda: sum("-> FLOCK" in line for line in waiting_for(ledger.LEDGER)), lambda n: n == 2)
    outcomes = [child.communicate()[0].strip() for child in children]
    codes = [child.returncode for child in children]
    assert sorted(codes) == [0, TryAgain.code], outcomes
    winner = 2 + codes.index(0)
    assert store.aliases(NAME)["champion"] == winner
    assert outcomes[codes.index(TryAgain.code)] == (
        f"another command made version {winner} the champion of model at the same moment, so this one changed nothing: "
        "see `lmforge ledger`, then decide again"
    )
    assert kinds()[-2:] == ["approval", "promotion"]
    assert holds()


def start(command: str) -> "subprocess.Popen[str]":
    code = f"""
import sys
from components.registry import champion
from components.core.errors import StageError
try:
    print({command})
except StageError as error:
    print(error)
    sys.exit(error.code)
"""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)


def waiting_for(path: Path) -> list[str]:
    """The system's lines on locks of a file."""
    inode = str(path.stat().st_ino)
    return [line for line in Path("/proc/locks").read_text().splitlines() if f":{inode} " in line]
