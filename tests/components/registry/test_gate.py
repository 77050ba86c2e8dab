"""The gate, whole: tiny real models against floors, against champions, and against what is left of old ones."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.registry import gate
from components.registry.decision import Decision, Rule
from components.registry.gate import Candidate
from components.registry.settings import Gate
from components.registry.spread import Spread
from tests.components.support import tiny
from tests.components.support.settings import EVALUATION, GATE

REPORTS = Path("reports")
UNKNOWN = Spread("not measured (`lmforge noise`)")
KNOWN = Spread("2 seeds", (2.0, 2.01), 200)

Judge = Callable[..., Decision]


@pytest.fixture
def judge(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Evaluate a model and judge it against another one, with the data at hand."""
    from components.evaluation.evaluation import evaluate

    tiny.place_definitions(tmp_path)
    (tmp_path / "data/prepared").symlink_to(tiny_data)
    monkeypatch.chdir(tmp_path)

    def decide(model: Path, champion: Path | None, missing: tuple[str, ...] = (), settings: Gate = GATE) -> Decision:
        evaluate(model, EVALUATION, "assistant").write(REPORTS)
        present = candidate("version 1", champion) if champion else None
        return gate.judge(candidate("version 2", model), present, REPORTS, missing, UNKNOWN, settings, EVALUATION)

    return decide


def candidate(name: str, package: Path) -> Candidate:
    return Candidate(name, f"digest of {package.name}", package)


def rules(decision: Decision) -> dict[str, Rule]:
    return {rule.name: rule for rule in decision.rules}


def test_a_first_model_is_judged_by_its_floors(judge: Judge, tiny_model: Path) -> None:
    decision = judge(tiny_model, None)
    assert (decision.promote, decision.against) == (True, "floors")
    assert {rule.group for rule in decision.rules} == {"floors", "safety", "lineage"}
    strict = judge(tiny_model, None, settings=replace(GATE, max_bits_per_byte=0.1, max_slice_bits_per_byte=0.1))
    failed = [rule.name for rule in strict.rules if not rule.holds]
    assert failed[:3] == ["bits per byte", "bits per byte of language en", "bits per byte of language zh"]


def test_a_champion_is_scored_afresh_and_keeps_its_place_in_a_tie(judge: Judge, tiny_model: Path) -> None:
    decision = judge(tiny_model, tiny_model)
    assert (decision.promote, decision.against) == (False, "champion")
    assert [rule.name for rule in decision.rules if not rule.holds] == ["change in bits per byte"]
    assert rules(decision)["spread of seeds"].needs == UNKNOWN.note
    assert rules(decision)["change in topic"].holds
    assert rules(decision)["ratio of bytes of the weights"].figure.value == 1


def test_every_number_of_a_decision_is_in_its_evidence(judge: Judge, tiny_model: Path) -> None:
    decision = judge(tiny_model, tiny_model)
    evidence = decision.evidence
    assert evidence is not None
    assert (evidence.challenger.name, evidence.challenger.digest) == ("version 2", "digest of tiny")
    assert (evidence.gate["seed"], evidence.evaluation["seed"]) == (0, 0)
    assert set(evidence.data) == {
        "test documents", "test examples", "scores.json", "losses.parquet", "predictions.parquet",
    }  # fmt: skip
    assert Decision.from_json(decision.to_json()) == decision


def test_an_encoder_against_a_decoder_is_judged_by_its_answers(judge: Judge, tiny_models: dict[str, Path]) -> None:
    decision = judge(tiny_models["labels"], tiny_models["decoder"])
    assert [rule.name for rule in decision.rules if rule.group == "gain"] == ["change in score over all tasks"]
    assert "bits per byte" not in rules(decision)
    assert not [rule for rule in decision.rules if rule.group == "safety"], "it writes nothing"
    assert rules(decision)["ratio of time for a token"].verdict == "not judged"


@pytest.mark.parametrize("kind", ["labels", "encoder_decoder"])
def test_each_architecture_is_compared_with_its_own(judge: Judge, tiny_models: dict[str, Path], kind: str) -> None:
    found = rules(judge(tiny_models[kind], tiny_models[kind]))
    assert found["ratio of time for a token"].holds
    assert ("completed verbatim" in found) == (kind != "labels")


@pytest.mark.parametrize("kind", ["decoder", "labels"])
def test_a_champion_that_does_not_say_what_it_was_taught_is_asked_all(
    judge: Judge, tiny_models: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    old = shutil.copytree(tiny_models[kind], tmp_path / "old")
    (old / "training.json").unlink()
    found = rules(judge(tiny_models[kind], old))
    assert found["the champion's tasks"].verdict == "not judged"
    assert "change in topic" in found


@pytest.mark.parametrize(
    ("name", "said"), [("tokenizer.json", "holds no tokenizer.json"), ("config.json", "holds no config.json")]
)
def test_a_champion_that_cannot_be_read_keeps_its_place_and_says_why(
    judge: Judge, tiny_model: Path, tmp_path: Path, name: str, said: str
) -> None:
    old = shutil.copytree(tiny_model, tmp_path / "old")
    (old / name).unlink()
    decision = judge(tiny_model, old)
    assert not decision.promote
    assert said in rules(decision)["the champion's scores"].needs


def test_a_champion_without_the_definitions_of_its_tasks_keeps_its_place(
    judge: Judge, tiny_model: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(tiny_model, tmp_path / "old")
    (old / "training.json").write_text('{"tasks": ["topic"]}')
    decision = judge(tiny_model, old)
    assert not decision.promote
    assert "names its tasks and does not define them" in rules(decision)["the champion's scores"].needs


def test_a_champion_that_was_taught_nothing_of_the_data_keeps_its_place(
    judge: Judge, tiny_data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    prepared = tmp_path / "data/prepared"
    prepared.unlink()
    shutil.copytree(tiny_data, prepared)
    for path in (prepared / "documents/test").rglob("*.parquet"):
        pq.write_table(pq.read_table(path, partitioning=None).slice(0, 0), path)
    other = shutil.copytree(tiny_model, tmp_path / "other")
    (other / "training.json").write_text('{"tasks": [], "max_prompt_tokens": 64}')
    decision = judge(tiny_model, other)
    assert not decision.promote
    assert rules(decision)["the champion's scores"].needs.startswith("nothing that it was taught is in the test split")


def test_a_gap_in_the_lineage_keeps_a_model_out_where_it_is_required(judge: Judge, tiny_model: Path) -> None:
    reported = judge(tiny_model, None, ("a.py is not in git",))
    assert reported.promote
    assert "a.py is not in git" in rules(reported)["lineage"].needs
    assert not judge(tiny_model, None, ("a.py is not in git",), replace(GATE, lineage="required")).promote


def test_the_key_follows_from_all_that_decides(judge: Judge, tiny_model: Path) -> None:
    judge(tiny_model, None)
    one = ("a", "b", REPORTS, ["gap"], UNKNOWN, GATE, EVALUATION)
    others = [
        ("x", *one[1:]),
        ("a", None, *one[2:]),
        (*one[:3], [], *one[4:]),
        (*one[:4], KNOWN, *one[5:]),
        (*one[:5], replace(GATE, seed=1), EVALUATION),
        (*one[:6], replace(EVALUATION, seed=1)),
    ]
    assert gate.key(*one) == gate.key(*one)
    keys = {gate.key(*one), *(gate.key(*other) for other in others)}
    (REPORTS / "scores.json").write_text("{}")
    assert len(keys | {gate.key(*one)}) == 8
