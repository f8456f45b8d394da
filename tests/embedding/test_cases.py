from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.embedding.cases import HeldIn, similar_cases, summary_of
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.excerpts import excerpt
from continuum.records import Annotation, DatasetRecord, Feedback
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from tests.builders import an_interaction, assistant, user

EMBEDDER = HashedEmbedder()


def asked(store: Store, **questions: str) -> None:
    """Interactions by id."""
    store.interactions.add(an_interaction(question, f"Answer to {name}.", id=name) for name, question in questions.items())


def said(store: Store, interaction_id: str, **fields: Any) -> None:
    store.feedback.add([Feedback(interaction_id=interaction_id, **fields)])


def judged(store: Store, interaction_id: str, overall: float) -> None:
    store.annotations.add(
        [Annotation(interaction_id=interaction_id, task="support", judge="judge", rubric="rubric", overall=overall)]
    )


def test_the_nearest_questions_come_first_and_the_one_asked_about_does_not(store: Store) -> None:
    asked(store, a="How do I get a refund?", b="how can I get my refund", c="Which trains go to Bonn?", d="a refund, how?")

    cases = similar_cases(store, "a", 2, EMBEDDER)

    assert [case.interaction_id for case in cases] == ["b", "d"]
    assert 1 > cases[0].cosine > cases[1].cosine > 0.3
    assert cases[0].question == "how can I get my refund"
    assert cases[0].answer == "Answer to b."


def test_equal_questions_are_all_shown_by_id_and_fill_no_place_of_others_twice(store: Store) -> None:
    asked(store, a="Refund?", d="refund?", c="REFUND?", b="Which trains go to Bonn?")

    assert [(case.interaction_id, case.cosine) for case in similar_cases(store, "a", 2, EMBEDDER)] == [("c", 1.0), ("d", 1.0)]
    assert len(similar_cases(store, "a", 10, EMBEDDER)) == 3


def test_each_case_says_how_good_it_was_found_and_by_whom(store: Store) -> None:
    asked(store, a="Refund?", b="refund please", c="my refund", d="the refund", e="refund now")
    said(store, "b", score=2.0, label="rude")
    judged(store, "b", 5.0)
    judged(store, "c", 4.5)
    said(store, "d", correction="You get it on Monday.")
    said(store, "e", score=5.0, kind="implicit")

    cases = {case.interaction_id: case for case in similar_cases(store, "a", 10, EMBEDDER)}

    assert (cases["b"].score, cases["b"].score_source, cases["b"].label) == (2.0, "human", "rude")
    assert (cases["c"].score, cases["c"].score_source) == (4.5, "judge")
    assert (cases["d"].score, cases["d"].corrected) == (None, True)
    assert (cases["e"].score, cases["e"].label, cases["e"].corrected) == (None, None, False)
    summary = summary_of(list(cases.values()))
    assert str(summary) == "of the 4 nearest 2 scored, 3.25 on average, 50% good (4 or better), 1 corrected"


def test_each_case_says_which_datasets_hold_it(store: Store) -> None:
    asked(store, a="Refund?", b="refund please", c="my refund")
    for version, kind, member, split in (
        (1, "training", "b", "train"),
        (2, "training", "b", "train"),
        (1, "golden", "c", "golden"),
    ):
        name = f"support_{kind}_v{version}"
        record = DatasetRecord(id=name, task="support", kind=kind, name=name, version=version, uri="nowhere", manifest={})  # pyright: ignore[reportArgumentType]
        store.datasets.add(record, [DatasetItem(interaction_id=member, split=split)])

    cases = {case.interaction_id: case for case in similar_cases(store, "a", 10, EMBEDDER)}

    assert cases["b"].held_in == (HeldIn("support_training_v2", "train"),)
    assert cases["c"].held_in == (HeldIn("support_golden_v1", "golden"),)


def test_answers_can_be_compared_instead(store: Store) -> None:
    store.interactions.add(
        [
            an_interaction("one", "The parcel arrives on Monday.", id="a"),
            an_interaction("two", "Your parcel arrives on Monday.", id="b"),
            an_interaction("one", "Nothing.", id="c"),
            an_interaction("one", id="d", response=None, status="error"),
        ]
    )

    assert [case.interaction_id for case in similar_cases(store, "a", 5, EMBEDDER, by="answer")] == ["b", "c"]
    with pytest.raises(ConfigurationError, match="interaction d has no answer to compare by; compare by question"):
        similar_cases(store, "d", 5, EMBEDDER, by="answer")


def test_a_call_that_failed_is_a_case_too(store: Store) -> None:
    asked(store, a="Refund?")
    store.interactions.add([an_interaction("refund?", id="b", response=None, status="error")])

    (case,) = similar_cases(store, "a", 5, EMBEDDER)

    assert (case.status, case.answer, case.score) == ("error", "", None)


def test_the_providers_id_names_an_interaction_and_another_task_can_be_searched(store: Store) -> None:
    store.tasks.ensure("other")
    store.interactions.add(
        [
            an_interaction("Refund?", id="a", provider_response_id="chatcmpl-1"),
            an_interaction("refund", id="b", task="other"),
        ]
    )

    assert [case.interaction_id for case in similar_cases(store, "chatcmpl-1", 5, EMBEDDER, task="other")] == ["b"]


def test_what_cannot_be_asked_says_what_can(store: Store) -> None:
    asked(store, a="Refund?")
    store.interactions.add([an_interaction(id="silent", messages=(), task="other")])

    with pytest.raises(ConfigurationError, match="there is no interaction 'nobody'"):
        similar_cases(store, "nobody", 5, EMBEDDER)
    with pytest.raises(ConfigurationError, match="k is 0; ask for 1 similar case or more"):
        similar_cases(store, "a", 0, EMBEDDER)
    with pytest.raises(ConfigurationError, match="interaction silent has no question to compare by; compare by answer"):
        similar_cases(store, "silent", 5, EMBEDDER)
    with pytest.raises(ConfigurationError, match="nowhere"):
        similar_cases(store, "a", 5, EMBEDDER, task="nowhere")
    with pytest.raises(NotEnoughData, match="task 'support' has no other interaction with a question, 1 is needed"):
        similar_cases(store, "a", 5, EMBEDDER)


def test_the_question_that_is_shown_is_the_users(store: Store) -> None:
    asked(store, a="Refund?")
    messages = (user("Refund for order 7?"), assistant("I look it up."))
    store.interactions.add([an_interaction(id="b", messages=messages)])

    assert similar_cases(store, "a", 5, EMBEDDER)[0].question == "Refund for order 7?"


@given(st.text(st.characters(), max_size=400))
def test_no_excerpt_steers_a_terminal_or_is_long(text: str) -> None:
    shown = excerpt(text)

    assert shown.isprintable()
    assert len(shown) <= 161


def test_terminal_escapes_leave_no_trace() -> None:
    hostile = "before\x1b[31m red \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\u202e\ud800 after\r\nnext"

    assert excerpt(hostile) == "before red link after next"
    assert excerpt("x" * 10_000_000, 160) == "x" * 159 + "…"


def test_nothing_scored_has_no_average() -> None:
    assert str(summary_of([])) == "of the 0 nearest 0 scored, 0 corrected"
