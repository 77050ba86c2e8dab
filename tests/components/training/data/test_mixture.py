"""Fine-tuning data: shares, packing, and a loss on the answers alone, as each architecture reads it."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData
from components.model.labelling import ANSWER, ENTITIES, FIRST, FOLLOWING, OUTSIDE
from components.model.transformer import IGNORED, PADDING_SEGMENT
from components.tasks import Task
from components.tokenizer.tokenizer import Message, Tokenizer
from components.training.data import mixture
from components.training.data.batches import Batch
from components.training.data.data_order import Reading, Rollback
from components.training.data.mixture import Alternating, AsLabels, AsText, Segment, Shape, pack, pack_row
from tests.components.support.tiny import TASKS

SHAPE = Shape(length=16, source_length=20, padding=0)


@st.composite
def pieces(draw: st.DrawFn, source: bool) -> Segment:
    tokens = draw(st.lists(st.integers(0, 99), min_size=1, max_size=14))
    targets = [token if keep else IGNORED for token, keep in zip(tokens, draw(st.lists(st.booleans(), min_size=14)))]  # noqa: B905
    return Segment(tokens, targets, draw(st.lists(st.integers(0, 99), min_size=1, max_size=18)) if source else [])


@given(st.booleans().flatmap(lambda source: st.lists(pieces(source), min_size=1, max_size=30)))
def test_packing_keeps_every_piece_whole(given_pieces: list[Segment]) -> None:
    found = []
    for group in pack(iter(given_pieces), SHAPE):
        row = pack_row(group, SHAPE)
        assert row.segments_BT is not None
        for number in sorted(set(row.segments_BT[0].tolist()) - {PADDING_SEGMENT}):
            at = row.segments_BT[0] == number
            source: list[int] = []
            if row.source_BS is not None and row.source_segments_BS is not None:
                source = row.source_BS[0][row.source_segments_BS[0] == number].tolist()
            found.append(Segment(row.tokens_BT[0][at].tolist(), row.targets_BT[0][at].tolist(), source))
        assert (row.targets_BT[row.segments_BT == PADDING_SEGMENT] == IGNORED).all()
    assert sorted(found, key=repr) == sorted(given_pieces, key=repr)


def test_packing_leaves_little_padding() -> None:
    chance = random.Random(1)
    packed = list(pack((Segment([1] * chance.randint(2, 9), []) for _ in range(500)), SHAPE))
    places = sum(len(piece.tokens) for row in packed for piece in row)
    assert places / (len(packed) * SHAPE.length) > 0.95


def test_an_answer_follows_its_prompt_and_alone_is_in_the_loss(tokenizer: Tokenizer) -> None:
    piece = AsText(tokenizer, 48, 16, reads_first=False)(TASKS["topic"], {"text": "The fox."}, "Arts")
    answer = [*tokenizer.encode("Arts"), tokenizer.end_of_turn]
    assert piece.targets[-len(answer) :] == answer
    assert piece.tokens[1 - len(answer) :] == answer[:-1]
    assert set(piece.targets[: -len(answer)]) == {IGNORED}
    assert "The fox." in tokenizer.decode(piece.tokens)


def test_the_length_of_a_prompt_tells_nothing_of_its_answer(tokenizer: Tokenizer) -> None:
    """A classifier that sees how long a prompt is, and nothing else, is at chance, also where prompts are cut."""
    chance = random.Random(1)
    layout, task = AsText(tokenizer, 48, 16, reads_first=False), TASKS["topic"]
    examples = [
        (layout(task, {"text": "the fox ran " * chance.randint(1, 40)}, label).targets.count(IGNORED), label)
        for label in chance.choices(task.labels, k=2000)
    ]
    seen: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for length, label in examples[:1000]:
        seen[length][label] += 1
    right = sum(seen[length].most_common(1) == [(label, seen[length][label])] for length, label in examples[1000:])
    assert right / 1000 < 1 / len(task.labels) + 0.05


@given(st.text(max_size=200), st.sampled_from(sorted(TASKS)), st.data())
@settings(deadline=None, max_examples=30)
def test_a_prompt_is_the_same_whatever_its_answer(
    tokenizer: Tokenizer, text: str, name: str, data: st.DataObject
) -> None:
    task = TASKS[name]
    inputs = {"text": text, "context": text, "question": "Area", "title": "Fox"}
    answers = st.sampled_from(task.labels) if task.labels else st.text(max_size=50)
    one, other = (AsText(tokenizer, 64, 16, reads_first=True)(task, inputs, data.draw(answers)) for _ in range(2))
    assert one.source == other.source


def test_an_encoder_decoder_reads_the_prompt_and_writes_the_answer(tokenizer: Tokenizer) -> None:
    piece = AsText(tokenizer, 48, 16, reads_first=True)(TASKS["topic"], {"text": "The fox."}, "Arts")
    answer = [*tokenizer.encode("Arts"), tokenizer.end_of_turn]
    assert piece.tokens == [tokenizer.end_of_text, *answer[:-1]]
    assert piece.targets == answer
    assert "The fox." in tokenizer.decode(piece.source)


DIALOGUE = Task(name="dialogue", kind="conversation", metric="rouge_l")
SAID: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which fox?"},
    {"role": "assistant", "content": " The quick one. "},
    {"role": "user", "content": "And the dog?"},
    {"role": "assistant", "content": "No idea.", "weight": 0},
    {"role": "tool", "content": "dog: lazy"},
]


def of_dialogue(layout: AsText, turns: list[Message], target: str = "It is lazy.") -> Segment:
    return layout(DIALOGUE, {"messages": json.dumps(turns)}, target)


def test_a_conversation_is_learned_where_the_assistant_speaks(tokenizer: Tokenizer) -> None:
    piece = of_dialogue(AsText(tokenizer, 300, 40, reads_first=False), SAID)
    whole = [*piece.tokens, piece.targets[-1]]
    read = [{**turn, "content": turn["content"].strip()} for turn in SAID]
    assert whole == [*tokenizer.chat_prompt(read), *tokenizer.encode("It is lazy."), tokenizer.end_of_turn]  # type: ignore[arg-type]
    learned = [token for token in piece.targets if token != IGNORED]
    answers = ("The quick one.", "It is lazy.")
    assert learned == [token for text in answers for token in (*tokenizer.encode(text), tokenizer.end_of_turn)]
    assert all(target in (IGNORED, token) for token, target in zip(whole[1:], piece.targets, strict=True))


def test_an_encoder_decoder_reads_a_conversation_and_writes_the_last_answer(tokenizer: Tokenizer) -> None:
    piece = of_dialogue(AsText(tokenizer, 300, 40, reads_first=True), SAID)
    assert piece.targets == [*tokenizer.encode("It is lazy."), tokenizer.end_of_turn]
    assert "The quick one." in tokenizer.decode(piece.source)


@given(st.integers(60, 260))
@settings(deadline=None)
def test_a_long_conversation_is_cut_between_questions(tokenizer: Tokenizer, room: int) -> None:
    rounds: list[Message] = [
        {"role": role, "content": f"{role} {number}"}  # type: ignore[typeddict-item]
        for number in range(6)
        for role in ("user", "assistant")
    ]
    piece = of_dialogue(AsText(tokenizer, room, 40, reads_first=False), [SAID[0], *rounds, SAID[3]])
    prompt = tokenizer.decode(piece.tokens)
    assert len(piece.tokens) < room + 40
    assert prompt.startswith("system\nBe brief.")
    kept = [number for number in range(6) if f"user {number}" in prompt]
    assert kept == list(range(6))[6 - len(kept) :]
    assert kept == [number for number in range(6) if f"assistant {number}" in prompt]
    more = [SAID[0], *rounds[len(rounds) - 2 * len(kept) - 2 :], SAID[3]]
    assert len(kept) == 6 or len(tokenizer.chat_prompt(more)) > room


def test_of_a_message_that_is_too_long_the_beginning_is_read(tokenizer: Tokenizer) -> None:
    long: Message = {"role": "user", "content": "fox " * 200}
    piece = of_dialogue(AsText(tokenizer, 60, 4, reads_first=False), [SAID[1], SAID[2], long], "lazy " * 50)
    text = tokenizer.decode(piece.tokens)
    assert text.startswith("user\nfox fox")
    assert "Which" not in text
    assert len(piece.tokens) <= 60 + 4 - 1
    assert piece.targets[-4:] == tokenizer.encode("lazy " * 50)[:4]
    with pytest.raises(BadData, match="a conversation without its last message still takes"):
        of_dialogue(AsText(tokenizer, 20, 4, reads_first=False), [{"role": "system", "content": "x y z " * 20}, long])


LABELS = (OUTSIDE, ANSWER, *TASKS["topic"].labels)


def as_labels(tokenizer: Tokenizer, max_tokens: int = 96) -> AsLabels:
    return AsLabels(tokenizer, max_tokens, LABELS, tokenizer.byte_lengths())


def test_the_last_token_of_a_prompt_carries_its_label(tokenizer: Tokenizer) -> None:
    piece = as_labels(tokenizer)(TASKS["topic"], {"text": "The fox."}, "Mathematics")
    assert piece is not None
    assert piece.targets == [IGNORED] * (len(piece.tokens) - 1) + [LABELS.index("Mathematics")]


ENTITY_TASK = Task(name="names", kind="spans", template="The names in: {text}", long_field="text", metric="entity_f1")
ENTITY_LABELS = (
    OUTSIDE,
    ANSWER,
    ENTITIES,
    *(prefix + kind for kind in ("PER", "LOC") for prefix in (FIRST, FOLLOWING)),
)


def test_the_tokens_of_entities_are_tagged_in_their_order(tokenizer: Tokenizer) -> None:
    layout = AsLabels(tokenizer, 96, ENTITY_LABELS, tokenizer.byte_lengths())
    target = "LOC: names\nPER: Ada Lovelace\nLOC: names"  # a word of the template, and twice
    piece = layout(ENTITY_TASK, {"text": "of names Ada Lovelace, names"}, target)
    assert piece is not None
    tags = [ENTITY_LABELS[label] for label in piece.targets]
    assert tags[-1] == ENTITIES
    found: list[tuple[str, bytes]] = []
    for token, tag in zip(piece.tokens, tags[:-1], strict=False):
        if tag.startswith(FIRST):
            found.append((tag[2:], tokenizer.decode_bytes([token])))
        elif tag.startswith(FOLLOWING):
            found[-1] = found[-1][0], found[-1][1] + tokenizer.decode_bytes([token])
    assert [(kind, said.strip()) for kind, said in found] == [
        ("LOC", b"names"),
        ("PER", b"Ada Lovelace"),
        ("LOC", b"names"),
    ]


@given(st.text("abc 天地", max_size=20), st.text("defg 玄黄", min_size=1, max_size=8), st.text("abc 天地", max_size=20))
def test_the_tokens_of_an_answer_are_marked(tokenizer: Tokenizer, before: str, answer: str, behind: str) -> None:
    inputs = {"context": before + answer + behind, "question": "?"}
    piece = as_labels(tokenizer, 200)(TASKS["question_answering"], inputs, answer)
    assert piece is not None
    marked = [token for token, label in zip(piece.tokens, piece.targets, strict=True) if LABELS[label] == ANSWER]
    assert marked[-1] == piece.tokens[-1]
    text = tokenizer.decode_bytes(marked[:-1])
    assert answer.encode() in text
    assert len(text) <= len(answer.encode()) + 2 * max(tokenizer.byte_lengths())  # a token may reach beyond either end


def test_an_answer_that_was_cut_off_is_no_lesson(tokenizer: Tokenizer) -> None:
    inputs = {"context": "The fox. " * 40 + "zzz", "question": "?"}
    assert as_labels(tokenizer)(TASKS["question_answering"], inputs, "zzz") is None


def test_examples_without_a_lesson_are_refused_and_no_endless_search(folder: Path, tokenizer: Tokenizer) -> None:
    inputs = json.dumps({"context": "The fox. " * 40 + "zzz", "question": "?"})
    row = {"id": "1", "source": "books", "task": "question_answering", "inputs": inputs, "target": "zzz"}
    pq.write_table(pa.Table.from_pylist([row]), folder / "part-00000.parquet")
    shape = mixture.Shape(96, 0, tokenizer.padding)
    rows = mixture.PackedRows(folder, TASKS, {"question_answering": 1.0}, as_labels(tokenizer), shape, 1)
    with pytest.raises(BadData, match="no prompt of the tasks question_answering holds its answer, word for word"):
        rows(np.arange(1))


def write(folder: Path, counts: dict[str, int]) -> None:
    rows = [
        {
            "id": f"{task}{n}",
            "source": "films",
            "task": task,
            "inputs": json.dumps({"text": f"t{n}"}),
            "target": "positive",
        }
        for task, count in counts.items()
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tasks_are_mixed_in_their_shares(folder: Path) -> None:
    write(folder, {"topic": 300, "sentiment_en": 100})
    shares = {"topic": 1.0, "sentiment_en": 3.0}
    mixed = mixture.mix(mixture.load(folder, shares), shares, seed=1)
    assert mixed["task"][:400].count("sentiment_en") == pytest.approx(300, abs=40)
    assert {row["id"] for row in mixed} == {f"topic{n}" for n in range(300)} | {f"sentiment_en{n}" for n in range(100)}
    assert mixed["id"] == mixture.mix(mixture.load(folder, shares), shares, seed=1)["id"]


def test_a_row_is_the_same_whenever_it_is_asked_for(folder: Path, tokenizer: Tokenizer) -> None:
    write(folder, {"sentiment_en": 20})

    def rows() -> mixture.PackedRows:
        layout = AsText(tokenizer, 48, 16, reads_first=False)
        return mixture.PackedRows(
            folder, TASKS, {"sentiment_en": 1.0}, layout, Shape(128, 0, tokenizer.padding), seed=1
        )

    at_once, piecemeal = rows()(np.arange(40)), rows()
    late = piecemeal(np.arange(30, 40))
    assert late.tokens_BT.equal(at_once.tokens_BT[30:])
    assert piecemeal(np.array([3])).tokens_BT.equal(at_once.tokens_BT[3:4])


def test_no_row_is_made_in_vain_and_few_are_kept(folder: Path, tokenizer: Tokenizer) -> None:
    write(folder, {"sentiment_en": 20})
    made: list[Segment] = []

    def layout(task: Task, inputs: Mapping[str, str], target: str) -> Segment:
        made.append(AsText(tokenizer, 48, 16, reads_first=False)(task, inputs, target))
        return made[-1]

    length, batch = 64, 2  # a row has room for a single example
    examples = mixture.PackedRows(
        folder, TASKS, {"sentiment_en": 1.0}, layout, Shape(length, 0, tokenizer.padding), seed=1
    )
    rows = Alternating([(0.5, examples), (0.5, constant(0))], batch_size=batch)
    steps = [rows(np.arange(slot * batch, (slot + 1) * batch)) for slot in range(200)]
    read = sum(step.segments_BT is not None for step in steps) * batch
    assert read <= len(made) <= read + mixture.OPEN  # those in rows that are still open
    assert len(examples._kept) == mixture.KEPT < read
    again = Alternating([(0.5, examples), (0.5, constant(0))], batch_size=batch)
    assert all(
        again(np.arange(slot * batch, slot * batch + 2)).tokens_BT.equal(steps[slot].tokens_BT) for slot in (0, 7)
    )


def test_what_a_step_took_is_told_afterwards(folder: Path, tokenizer: Tokenizer) -> None:
    write(folder, {"topic": 9, "sentiment_en": 20})
    shape = Shape(320, 0, tokenizer.padding)
    layout = AsText(tokenizer, 160, 40, reads_first=False)
    kinds = [
        mixture.PackedRows(folder, TASKS, {task: 1.0}, layout, shape, seed=1) for task in ("topic", "sentiment_en")
    ]
    rows = Alternating([(0.5, kinds[0]), (0.5, kinds[1])], batch_size=2)
    read = {step: rows(np.arange(2 * step - 2, 2 * step)) for step in (1, 2, 4)}
    way = Reading(
        seed=1,
        steps=3,
        batch_size=2,
        length=64,
        reach=65,
        skipped_steps=(),
        shares=(("examples", 1.0),),
        rollbacks=(Rollback(step=3, back_to=2, passed_over=2),),  # what stood in the third slot left no trace
    )
    taken = list(mixture.taken(rows, way))
    for step, batch in zip((1, 2, 3), read.values(), strict=True):
        mine = [row for row in taken if row.step == step]
        assert sum(row.tokens for row in mine) == (batch.segments_BT != PADDING_SEGMENT).sum()
        assert {row.source for row in mine} == {"films"}
        text = tokenizer.decode([token for row in batch.tokens_BT.tolist() for token in row])
        assert all(f"t{row.example.removeprefix(row.task)}" in text for row in mine)


def test_a_task_without_examples_is_named(folder: Path) -> None:
    write(folder, {"topic": 3})
    with pytest.raises(BadData, match="no example of the task `sentiment_zh`"):
        mixture.load(folder, {"topic": 1.0, "sentiment_zh": 1.0})


def constant(value: int) -> Callable[[np.ndarray], Batch]:
    return lambda places: Batch(torch.full((len(places), 1), value), torch.zeros(len(places), 1))


@given(st.floats(0.1, 0.9))
def test_kinds_take_turns_by_their_shares_a_step_at_a_time(share: float) -> None:
    rows = Alternating([(1 - share, constant(0)), (share, constant(1))], batch_size=4)
    steps = [rows(np.arange(step * 4, step * 4 + 4)).tokens_BT for step in range(200)]
    assert all(len(step.unique()) == 1 for step in steps)
    assert np.mean([step[0, 0] for step in steps]) == pytest.approx(share, abs=0.02)
    assert rows(np.arange(6, 8)).tokens_BT[0, 0] == steps[1][0, 0]
