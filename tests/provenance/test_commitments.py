"""What a proof holds of a dataset's interactions and of what was said of them, and when that no longer holds."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import update

from continuum.errors import ProofBroken
from continuum.provenance.commitments import RowsChecked, check_rows, committed_rows
from continuum.records import Annotation, Feedback
from continuum.store.database import Store
from continuum.store.golden_answers import AnswerLabel
from continuum.store.tables import feedback
from tests.builders import NOON, interactions

IDS = {"i0", "i1", "i2"}


@pytest.fixture
def filled(store: Store) -> Store:
    store.interactions.add(
        one.model_copy(update={"id": f"i{n}", "provider_response_id": f"chat-{n}"}) for n, one in enumerate(interactions(3))
    )
    store.feedback.add([Feedback(id="by-id", interaction_id="i0", score=5), Feedback(id="by-chat", interaction_id="chat-0")])
    store.annotations.add([Annotation(interaction_id="i1", task="support", judge="j", rubric="r")])
    return store


def a_label(score: float, **fields: object) -> AnswerLabel:
    values = {"answer": "h", "metric": "tone", "labeller": "ada", "task": "support", "interaction_id": "i2", "created_at": NOON}
    return AnswerLabel(**(values | {"score": score} | fields))  # pyright: ignore[reportArgumentType]


def checked(store: Store, content: dict) -> RowsChecked:
    return check_rows(store, "interactions of d", "d", content, lambda: IDS)


def test_rows_and_all_that_was_said_of_them_are_held(filled: Store) -> None:
    filled.golden_labels.put([a_label(0.5)])

    content = committed_rows(filled, "interactions of d", IDS)

    assert [sorted(entry) for entry in content["rows"]] == [["feedback", "row"], ["annotations", "row"], ["golden_labels", "row"]]
    assert checked(filled, content) == RowsChecked(rows=3, opinions=4)


def test_a_score_that_was_only_tried_is_no_part_of_a_proof_and_may_select_later(filled: Store) -> None:
    filled.annotations.add([Annotation(interaction_id="i1", task="support", judge="j", rubric="new", role="trial")])
    before = committed_rows(filled, "interactions of d", IDS)
    assert checked(filled, before) == RowsChecked(rows=3, opinions=3)

    assert filled.annotations.select_by("support", judge="j", rubric="new") == 1

    assert checked(filled, before) == RowsChecked(rows=3, opinions=3)
    assert checked(filled, committed_rows(filled, "interactions of d", IDS)).opinions == 4


def test_what_is_said_is_hidden_by_the_salt_of_what_it_is_said_of(filled: Store) -> None:
    filled.feedback.add([Feedback(id="twice", interaction_id="i1", score=5)])
    first = committed_rows(filled, "interactions of d", IDS)
    assert len({hashed for entry in first["rows"] for hashed in entry.get("feedback", ())}) == 3


def test_who_says_the_same_again_changes_nothing_and_who_says_another_thing_does(filled: Store) -> None:
    filled.golden_labels.put([a_label(0.5)])
    content = committed_rows(filled, "interactions of d", IDS)

    filled.golden_labels.put([a_label(0.5, created_at=NOON.replace(hour=20))])
    assert checked(filled, content).opinions == 4

    filled.golden_labels.put([a_label(0.75)])
    with pytest.raises(ProofBroken, match=r"a label of a golden answer of interaction i2 .*not as proven: ada"):
        checked(filled, content)


def test_when_feedback_reached_the_store_is_the_stores_own_note_and_in_no_proof(filled: Store) -> None:
    content = committed_rows(filled, "interactions of d", IDS)

    with filled.engine.begin() as connection:
        connection.execute(update(feedback).values(arrived_at=NOON))

    assert checked(filled, content).opinions == 3


def test_members_without_a_row_are_counted(filled: Store) -> None:
    content = committed_rows(filled, "interactions of d", IDS | {"gone by now"})
    assert (content["absent"], content["own"]) == (1, 0)
    assert checked(filled, content).absent == 1


def test_a_question_that_somebody_brought_is_not_counted_as_lost(filled: Store) -> None:
    members = IDS | {"gone by now", "own-1", "own-2"}
    content = committed_rows(filled, "interactions of d", members)
    older = {name: value for name, value in content.items() if name != "own"} | {"absent": 3}

    for stated in (content, older):
        found = check_rows(filled, "interactions of d", "d", stated, lambda: members)
        assert (found.rows, found.absent, found.own) == (3, 1, 2)


def test_a_row_that_can_no_longer_be_read_as_a_record_is_named_all_the_same(filled: Store, home: Path) -> None:
    content = committed_rows(filled, "interactions of d", IDS)
    with sqlite3.connect(home / "continuum.db") as connection:
        connection.execute("UPDATE interactions SET tags = CAST(x'ff00' AS TEXT), started_at = 'x' WHERE id = 'i0'")
    connection.close()
    with pytest.raises(ProofBroken, match="interaction i0, or the salt of its commitment, was altered"):
        checked(filled, content)


def test_of_several_rows_that_may_be_meant_each_is_named(filled: Store, home: Path) -> None:
    content = committed_rows(filled, "interactions of d", IDS)
    with sqlite3.connect(home / "continuum.db") as connection:
        connection.execute("DELETE FROM commitments WHERE interaction_id IN ('i0', 'i2')")
    connection.close()
    with pytest.raises(ProofBroken, match="of one of the interactions i0, i2 has neither a row nor a tombstone"):
        checked(filled, content)
