"""One person's labelling: what is asked, what becomes of an answer, and what is told when."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.annotation.label_agreement import agreement_of
from continuum.annotation.labelling import AlreadyAnswered, Labelling, labeller_name
from continuum.annotation.questions import editable, visible
from continuum.errors import ConfigurationError
from continuum.records import Annotation, Interaction, Message, Review
from continuum.splits.ratings import human_rating
from continuum.spool.users import hashed_user, user_key
from continuum.store.database import Store
from tests.builders import an_interaction, interactions, user


def asked(store: Store, rows: list[Interaction], queue: str = "audit", **fields) -> list[Review]:
    """Reviews of interactions that are stored here."""
    store.tasks.ensure("support")
    store.interactions.add(rows)
    batch = [Review(task="support", interaction_id=row.id, queue=queue, **fields) for row in rows]
    store.reviews.add(batch)
    return batch


def judged(row: Interaction, overall: float = 2.0, **fields) -> Annotation:
    values = {"judge": "model-a", "rubric": "r", "overall": overall, "scores": {"tone": overall}, "reasons": {"tone": "Curt."}}
    return Annotation(interaction_id=row.id, task="support", **(values | fields))


def said_of(store: Store, row: Interaction):
    return store.feedback.of([row]).get(row.id, [])


def test_a_vote_is_a_trusted_verdict_as_any_feedback(store: Store) -> None:
    rows = interactions(1)
    (review,) = asked(store, rows)

    Labelling(store, "support", labeller="Ada").vote(review.id, 2, "Wrong day", "On Tuesday.", "wrong")

    (said,) = said_of(store, rows[0])
    assert (said.kind, said.trusted, said.score, said.comment, said.label) == ("explicit", True, 2, "Wrong day", "wrong")
    assert said.user_id == hashed_user("ada", user_key())
    assert said.idempotency_key == f"review:{review.id}:{said.user_id}"
    rating = human_rating([said])
    assert (rating.score, rating.correction.text) == (2, "On Tuesday.")


def test_each_person_is_asked_once_and_all_are_asked(store: Store) -> None:
    asked(store, interactions(4))

    for name in ("ada", "ben"):
        labelling = Labelling(store, "support", labeller=name)
        seen = []
        while question := labelling.next():
            seen.append(question.review_id)
            labelling.skip(question.review_id) if len(seen) == 2 else labelling.vote(question.review_id, 4)
        assert len(set(seen)) == 4

    counts = Labelling(store, "support", labeller="cy").progress()
    assert counts.verdicts == {"ada": 3, "ben": 3}
    assert counts.passes == {"ada": 1, "ben": 1}
    assert counts.with_verdict == 3
    assert counts.left == 1, "what both have passed waits for a third"


def test_people_at_the_useful_queue_start_at_different_places(store: Store) -> None:
    asked(store, interactions(40), "useful")
    names = [f"person {n}" for n in range(40)]

    first = {Labelling(store, "support", "useful", labeller=name).next().review_id for name in names}

    assert len(first) > 6
    head = {review.id for review in store.reviews.waiting("support", "useful", "x", overlap=1, limit=20)}
    assert first <= head


def test_what_the_judge_said_why_it_was_chosen_and_who_answered_show_only_after_the_vote(store: Store) -> None:
    row = an_interaction(model="secret-model-7")
    (review,) = asked(store, [row], "useful", reason="the judge wavers")
    second = judged(row, 5.0, judge="model-b", role="second")
    store.annotations.add([judged(row, reasons={"tone": "Curt \x1b[31mand\u202e odd."}), second])
    labelling = Labelling(store, "support", "useful", labeller="ada")

    before = str(asdict(labelling.next()))
    voted = labelling.vote(review.id, 5)

    assert not any(word in before for word in ("Curt", "model-a", "model-b", "wavers", "secret-model-7"))
    assert (voted.opinion.judge, voted.opinion.overall) == ("model-a", 2.0)
    assert voted.opinion.scores == (("tone", 2.0, "Curt ⟨U+001B⟩[31mand⟨U+202E⟩ odd."),)
    assert voted.reason == "the judge wavers"


def test_a_judge_that_gave_no_score_says_why(store: Store) -> None:
    row = an_interaction()
    (review,) = asked(store, [row])
    store.annotations.add([judged(row, status="suspected_injection", overall=None, scores={"tone": 5.0})])

    opinion = Labelling(store, "support", labeller="ada").vote(review.id, 1).opinion

    assert opinion.overall is None
    assert "talks to the judge" in opinion.note


def test_the_same_vote_again_changes_nothing_and_another_one_is_refused(store: Store) -> None:
    rows = interactions(1)
    (review,) = asked(store, rows)
    labelling = Labelling(store, "support", labeller="ada")

    first = labelling.vote(review.id, 4, "fine")
    assert labelling.vote(review.id, 4, "fine") == first
    with pytest.raises(AlreadyAnswered, match="scored this item 4"):
        labelling.vote(review.id, 2, "bad")
    with pytest.raises(AlreadyAnswered, match="has voted"):
        labelling.skip(review.id)

    assert len(said_of(store, rows[0])) == 1


def test_who_passed_elsewhere_is_told_so(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    labelling = Labelling(store, "support", labeller="ada")
    labelling.skip(review.id)
    labelling.skip(review.id)

    with pytest.raises(AlreadyAnswered, match="passed"):
        labelling.vote(review.id, 4)


def test_undo_brings_the_item_back_with_what_was_typed_and_the_new_vote_is_no_evidence_on_the_judge(store: Store) -> None:
    rows = interactions(1)
    (review,) = asked(store, rows)
    store.annotations.add([judged(rows[0])])
    labelling = Labelling(store, "support", labeller="ada")
    assert labelling.undo() is None

    labelling.vote(review.id, 5, "so", "Better.")
    back = labelling.undo()

    assert (back.question.review_id, back.comment, back.correction) == (review.id, "so", "Better.")
    assert said_of(store, rows[0]) == []
    assert labelling.next().review_id == review.id
    labelling.vote(review.id, 2)
    assert human_rating(said_of(store, rows[0])).score == 2
    assert agreement_of(store, "support", "audit").judge.items == 0


def test_undo_goes_back_vote_by_vote(store: Store) -> None:
    asked(store, interactions(3))
    labelling = Labelling(store, "support", labeller="ada")
    order = []
    while question := labelling.next():
        order.append(question.review_id)
        labelling.vote(question.review_id, 3)

    assert [labelling.undo().question.review_id for _ in range(3)] == order[::-1]
    assert labelling.undo() is None
    assert labelling.progress().verdicts == {}


def test_a_correction_that_changes_nothing_is_none(store: Store) -> None:
    rows = [an_interaction(answer="On Monday.\u200b\n"), an_interaction(answer="On Monday.")]
    reviews = asked(store, rows)
    labelling = Labelling(store, "support", labeller="ada")

    assert labelling.vote(reviews[0].id, 4, correction="On Monday.").correction is None
    assert labelling.vote(reviews[1].id, 4, correction="  \n").correction is None


def test_what_people_write_is_redacted_as_all_that_is_captured(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = asked(store, interactions(2))

    voted = Labelling(store, "support", labeller="ada").vote(first.id, 2, "ask jo@example.com", "Write to jo@example.com.")
    assert (voted.comment, voted.correction) == ("ask [EMAIL]", "Write to [EMAIL].")

    monkeypatch.setenv("CONTINUUM_REDACT", "off")
    assert "jo@" in Labelling(store, "support", labeller="ada").vote(second.id, 2, correction="To jo@example.com.").correction


@pytest.mark.parametrize("score", [0, 6, None, "4", True, float("nan")])
def test_a_score_that_is_none_is_refused_and_nothing_is_written(store: Store, score) -> None:
    rows = interactions(1)
    (review,) = asked(store, rows)

    with pytest.raises(ConfigurationError, match="score"):
        Labelling(store, "support", labeller="ada").vote(review.id, score)

    assert said_of(store, rows[0]) == []


def test_a_text_too_long_is_refused_rather_than_cut(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    with pytest.raises(ConfigurationError, match="at most 100,000"):
        Labelling(store, "support", labeller="ada").vote(review.id, 2, correction="a" * 100_001)


def test_an_item_of_another_task_is_no_item(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    store.tasks.ensure("other")
    with pytest.raises(ConfigurationError, match="no item"):
        Labelling(store, "other", labeller="ada").vote(review.id, 4)
    with pytest.raises(ConfigurationError, match="no item"):
        Labelling(store, "support", labeller="ada").vote("nothing", 4)
    with pytest.raises(ConfigurationError, match="there is no task"):
        Labelling(store, "nowhere", labeller="ada")


def test_a_name_is_the_same_however_it_is_typed() -> None:
    assert labeller_name("  Ada   Lovelace ") == labeller_name("ADA LOVELACE") == "ada lovelace"
    assert labeller_name("Jose\u0301") == labeller_name("José")
    for name in ("", "  ", "a\x1b[31m", "a\u202eb", "x" * 65):
        with pytest.raises(ConfigurationError, match="name"):
            labeller_name(name)


def test_a_question_shows_roles_tools_and_parts(store: Store) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"b":1,"a":[2]}'}}
    row = an_interaction(
        messages=(
            user("hello"),
            Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]}),
            Message.model_validate({"role": "tool", "name": "find", "content": '{"found":true}'}),
            Message(
                role="user", content=[{"type": "text", "text": "and this"}, {"type": "image_url", "image_url": {"url": "x"}}]
            ),
        ),
        response=Message.model_validate({"role": "assistant", "content": None, "refusal": "I cannot."}),
    )
    asked(store, [row])

    question = Labelling(store, "support", labeller="ada").next()

    hello, called, found, parts = question.conversation
    assert (hello.role, hello.text) == ("user", "hello")
    assert (called.calls[0].name, called.calls[0].arguments) == ("find", '{\n  "b": 1,\n  "a": [\n    2\n  ]\n}')
    assert (found.name, found.text) == ("find", '{\n  "found": true\n}')
    assert parts.text == "and this\n[image_url]"
    assert question.answer.text == "I cannot."


@given(st.text())
def test_nothing_that_is_shown_steers_a_screen(text: str) -> None:
    for shown in (visible(text), editable(text)):
        assert all(sign in "\n\t" or not (ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0) for sign in shown)
        assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff") & set(shown)
        shown.encode()


def test_ordinary_text_of_any_language_is_shown_as_it_is() -> None:
    for text in ("Grüße, 你好\n\tשלום 👩‍👩‍👧 می‌خواهم", "[bold]x[/bold] <b>"):
        assert visible(text) == editable(text) == text


def test_agreement_is_given_from_ten_shared_items_on(store: Store) -> None:
    rows = interactions(12)
    reviews = asked(store, rows)
    store.annotations.add(judged(row, float(1 + n % 5)) for n, row in enumerate(rows))
    ada, ben = (Labelling(store, "support", labeller=name) for name in ("ada", "ben"))
    for n, review in enumerate(reviews[:9]):
        ada.vote(review.id, 1 + n % 5)
        ben.vote(review.id, 1 + n % 5)
    few = agreement_of(store, "support", "audit")
    assert (few.shared, few.people, few.pairs[0].kappa, few.judge.kappa) == (9, None, None, None)
    assert few.judge.difference == 0

    for n, review in enumerate(reviews[9:]):
        ada.vote(review.id, 1 + (n + 9) % 5)
        ben.vote(review.id, 1)
    found = agreement_of(store, "support", "audit")

    assert found.shared == 12
    assert 0 < found.people.value < 1
    assert (found.pairs[0].first, found.pairs[0].second) == ("ada", "ben")
    assert found.pairs[0].kappa.items == found.judge.items == 12
    assert found.judge.difference > 0, "the judge agrees with ada, and is higher than the two"


def test_an_empty_queue_says_how_it_is_filled(store: Store) -> None:
    store.tasks.ensure("support")
    for queue in ("audit", "useful", "anchor"):
        labelling = Labelling(store, "support", queue, labeller="ada")
        assert labelling.next() is None
        assert "continuum annotate support" in labelling.how_to_fill()


VOTER = """
import sys
from continuum.annotation.labelling import Labelling
from continuum.store import default_store
labelling = Labelling(default_store(), "support", labeller=sys.argv[1], overlap=9)
print("ready", flush=True)
while question := labelling.next():
    try:
        labelling.vote(question.review_id, 4, "by " + sys.argv[1])
    except Exception as error:
        if type(error).__name__ != "AlreadyAnswered":
            raise
"""


@pytest.mark.slow
def test_processes_that_are_killed_at_any_moment_lose_and_double_nothing(store: Store, tmp_path: Path) -> None:
    rows = interactions(150)
    asked(store, rows)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", VOTER, name], env=environment, stdout=subprocess.PIPE)

    # Two windows of one person and one of another; the person's first window is killed twice.
    others = [start("ada"), start("ben")]
    for _ in range(2):
        victim = start("ada")
        assert victim.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
    for process in others:
        process.communicate(timeout=120)
        assert process.returncode == 0

    said = store.feedback.of(rows)
    assert all(len(said[row.id]) == 2 for row in rows)
    counts = Labelling(store, "support", labeller="ada").progress()
    assert counts.verdicts == {"ada": 150, "ben": 150}
