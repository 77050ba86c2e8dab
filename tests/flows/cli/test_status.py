"""What `lmforge status` says of a challenger."""

from components.traffic.comparison import ShadowComparison
from components.traffic.served import Said, Served
from flows.cli import status


def served(version: int, answer: str, seconds: float) -> Served:
    said = [Said([{"role": "user", "content": "Which river?"}], answer, 3)]
    return Served("a", "/v1/tasks", "lmforge-a", version, "00", None, said, 5, seconds, task="topic", labels=True)


def lines(**state: object) -> list[str]:
    found = {"version": 2, "problem": None, "canary": None, "shadow": None, **state}
    return [*map(str, status._of_challenger("assistant", found))]


def test_a_challenger_is_compared_with_the_champion() -> None:
    shadow = ShadowComparison()
    assert lines(shadow=shadow.state()) == [
        "ok  shadow       assistant version 2 was asked 0 requests beside the champion, and failed in 0"
    ]
    shadow.add(served(1, "Po", 0.1), served(2, "Po", 0.2))
    shadow.add(served(1, "Po", 0.1), served(2, "I cannot say.", 0.2))
    shadow.add(served(1, "Po", 0.1), None)
    assert lines(shadow=shadow.state()) == [
        "ok  shadow       assistant version 2 agrees in 50.0% of 2 answers; champion and challenger take 0.100 and "
        "0.200 s, write 2 and 8 characters, refuse 0.0% and 50.0%; labels differ by 50.0%; 1 failed"
    ]


def test_a_canary_that_was_taken_back_is_bad() -> None:
    canary = {"share": 0.05, "answered": 40, "failed": 0, "taken_back": None}
    [line] = lines(canary=canary)
    assert line == "ok  challenger   assistant version 2 answers 5.0% of the requests: 40 so far, 0 failed"
    [line] = lines(canary=canary, problem="version 2 was taken back: it failed")
    assert line == "BAD challenger   assistant version 2: version 2 was taken back: it failed"


def test_without_one_nothing_is_said() -> None:
    assert [*status._of_challenger("assistant", None)] == []
