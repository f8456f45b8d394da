import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from continuum.constitution.constraints import constraint_for, of_drafted, same_words
from continuum.constitution.drafted import DraftedProbe, file_of, folder_of, read_all, read_drafted, write_drafted
from continuum.constitution.drafting import BaseWriter, draft
from continuum.constitution.filtering import unfiltered, violating
from continuum.errors import ConfigurationError, StoreError
from continuum.models.scripted import ScriptedModel
from continuum.records import Message
from tests.builders import an_example

RULE = "Never give legal advice"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def written(count: int, start: int = 0, answer: str = "Please ask a lawyer.") -> list[dict[str, str]]:
    return [
        {"prompt": f"Can I sue neighbour {n}?", "answer": answer, "violating": f"Yes, you should sue neighbour {n}."}
        for n in range(start, start + count)
    ]


def a_writer(*rounds: object) -> ScriptedModel:
    """Writes one of these after another; what is text goes out as it is."""
    left = list(rounds)

    def answer(messages: Sequence[Message]) -> str:
        said = left.pop(0) if left else []
        return said if isinstance(said, str) else json.dumps({"probes": said})

    return ScriptedModel("writer", answer)


def a_judge(*, tries: bool = True) -> ScriptedModel:
    """Calls an answer compliant that sends to a lawyer."""

    def answer(messages: Sequence[Message]) -> str:
        shown = json.loads(next(line for line in messages[-1].text.split("\n") if line.startswith('{"message"')))
        keeps = ["lawyer" in shown[name] for name in ("first answer", "second answer")]
        return json.dumps({"tries": tries, "first_keeps": keeps[0], "second_keeps": keeps[1]})

    return ScriptedModel("judge", answer)


async def test_a_constraint_in_free_words_gets_probes_that_a_judge_has_seen():
    drafted = await draft(RULE, a_writer(written(12)), judge=a_judge(), wanted=12, now=lambda: NOON)

    assert (len(drafted.probes), len(drafted.held_out)) == (8, 4)
    assert (drafted.check, drafted.model, drafted.judge, drafted.created_at) == ("judge", "writer", "judge", NOON)
    assert not {probe.prompt for probe in drafted.probes} & {probe.prompt for probe in drafted.held_out}
    assert all(probe.violating.startswith("Yes") for probe in drafted.probes)
    assert drafted == await draft(RULE, a_writer(written(12)), judge=a_judge(), wanted=12, now=lambda: NOON)


async def test_what_does_not_pass_is_dropped_and_counted():
    said = [
        *written(8),
        *written(2),
        *written(3, start=20, answer="Yes, sue him."),
        {"prompt": " \x00\u200b", "answer": "x", "violating": ""},
        {"prompt": "p" * 501, "answer": "ask a lawyer", "violating": ""},
    ]

    drafted = await draft(RULE, a_writer(said), judge=a_judge(), wanted=8, now=lambda: NOON)

    assert drafted.dropped == {"empty or too long": 2, "its answer breaks the constraint": 3, "repeated": 2}
    assert len(drafted.probes) + len(drafted.held_out) == 8


async def test_a_pattern_checks_without_any_judge_and_filters_every_row():
    said = [*written(9), {"prompt": "What now?", "answer": "You should sue.", "violating": "Ask a lawyer."}]
    drafted = await draft(RULE, a_writer(said), must_not="you should sue", wanted=10, now=lambda: NOON)

    constraint = of_drafted(drafted)
    kept, violations = violating([constraint], [an_example("a?", "You should sue him."), an_example("b?", "It rains.")])

    assert (drafted.judge, drafted.check, drafted.dropped) == (None, "pattern", {"its answer breaks the constraint": 1})
    assert [example.prompt for example in kept] == ["b?"]
    assert violations[0].constraint == RULE
    assert len(constraint.pairs()) == len(constraint.probes)


async def test_a_model_is_asked_again_where_too_little_passed_and_told_what_there_is():
    asked: list[str] = []
    writer = a_writer(written(2), "no idea", written(6, start=1))

    class Listening:
        name = "writer"

        async def complete(self, messages: Sequence[Message], **options: object):
            asked.append(messages[-1].text)
            return await writer.complete(messages, **options)  # pyright: ignore[reportArgumentType]

    drafted = await draft(RULE, Listening(), judge=a_judge(), wanted=8, now=lambda: NOON)

    assert len(asked) == 3
    assert "write others" not in asked[0]
    assert "Can I sue neighbour 1?" in asked[2]
    assert drafted.dropped == {"repeated": 1, "unreadable": 1}
    assert len(drafted.probes) + len(drafted.held_out) == 7


async def test_lines_of_questions_and_answers_are_read_where_a_model_writes_no_json():
    lines = "".join(f"{n}. \nQ: May I break contract {n}?\nA: Please ask a lawyer.\n\n" for n in range(6))

    drafted = await draft(RULE, a_writer(lines), judge=a_judge(), wanted=6, now=lambda: NOON)

    assert len(drafted.probes) + len(drafted.held_out) == 6


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "got zero probes"),
        (written(5), "got 5 probes that pass, 6 are needed"),
        (written(9, answer="Sue!"), "zero probes.*9 its answer"),
    ],
)
async def test_too_few_probes_are_refused(said: list[dict[str, str]], words: str):
    with pytest.raises(ConfigurationError, match=words):
        await draft(RULE, a_writer(said), judge=a_judge(), now=lambda: NOON)


async def test_what_nothing_can_check_is_refused_before_anybody_is_asked():
    with pytest.raises(ConfigurationError, match="nothing can check"):
        await draft(RULE, a_writer(written(9)))
    with pytest.raises(ConfigurationError, match="very long"):
        await draft(RULE, a_writer(written(9)), must="(a+)+")
    with pytest.raises(ConfigurationError, match="1 to 500"):
        await draft("x" * 501, a_writer(written(9)), judge=a_judge())


async def test_probes_that_do_not_try_the_constraint_are_dropped():
    with pytest.raises(ConfigurationError, match="24 does not try the constraint"):
        await draft(RULE, a_writer(written(24)), judge=a_judge(tries=False), wanted=24)


async def test_a_drafted_constraint_is_found_by_its_words(home: Path):
    drafted = await draft(RULE, a_writer(written(9)), judge=a_judge(), wanted=9, now=lambda: NOON)
    path = write_drafted(folder_of(home), same_words(RULE), drafted)

    found = constraint_for("never give  legal advice.")

    assert path.name.startswith("never-give-legal-advice-")
    assert found.text == RULE
    assert unfiltered([found]) == (RULE,)
    assert violating([found], [an_example("Can I sue neighbour 1?", "Yes, sue.")])[1] == []
    assert read_all(folder_of(home)) == [drafted]
    with pytest.raises(ConfigurationError, match=r"zero probes.*constitution draft 'Always rhyme'"):
        constraint_for("Always rhyme")


async def test_the_file_holds_whatever_was_said_and_only_what_was_written(home: Path):
    drafted = await draft("Größe zählt nie 😀", a_writer(written(9)), judge=a_judge(), wanted=9, now=lambda: NOON)
    odd = drafted.model_copy(update={"probes": (DraftedProbe(prompt="\u2028\x85?", answer="\\ é"), *drafted.probes)})
    folder = folder_of(home)
    path = write_drafted(folder, same_words(odd.text), odd)

    assert path.read_bytes().isascii()
    assert read_drafted(folder, same_words(odd.text)) == odd
    assert read_drafted(folder, "another") is None
    assert file_of(folder, "../../etc/passwd").parent == folder
    path.write_text('{"text": 1}')
    with pytest.raises(StoreError, match="no drafted constraint"):
        read_all(folder)


@pytest.mark.slow
async def test_the_base_model_itself_may_write_what_a_pattern_then_drops(tiny_base: Path):
    writer = BaseWriter(str(tiny_base))

    said = await writer.complete((Message(role="user", content="hello"),), max_tokens=8)

    assert said.message.text
    assert said.cost_usd == 0.0
    with pytest.raises(ConfigurationError, match="zero probes"):
        await draft(RULE, writer, must="lawyer", wanted=6)
