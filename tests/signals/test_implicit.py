import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum import feedback as feedback_door
from continuum.records import Feedback, FunctionCall, Interaction, Message, ToolCall
from continuum.signals.implicit import CALIBRATION_SIZE, CONFIDENCE, derive_implicit, share_changed, standing
from continuum.splits.ratings import human_rating
from continuum.spool.spool import flush
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, assistant, user

MUCH_LATER = NOON + timedelta(days=2)


def talk(
    *questions: str,
    name: str = "talk",
    every_s: float = 60,
    answers: Sequence[str] = (),
    starts_s: float = 0,
    **fields: object,
) -> list[Interaction]:
    """A dialogue in which each call carries what was said before; answers are different unless given."""
    said: list[Message] = []
    turns = []
    for number, question in enumerate(questions):
        answer = assistant(answers[number] if answers else f"Answer {number} of {name}.")
        turns.append(
            an_interaction(
                messages=(*said, user(question)),
                response=answer,
                started_at=NOON + timedelta(seconds=starts_s + number * every_s),
                **{"id": f"{name}-{number}", "conversation_id": name, "latency_ms": 2000.0} | fields,
            )
        )
        said += [user(question), answer]
    return turns


def found(store: Store, *turns: Interaction, later: timedelta = timedelta(minutes=20)) -> dict[str, list[str]]:
    """Derives, and gives the signals of each interaction that has any; nobody has left yet unless `later` is long."""
    store.interactions.add(turns)
    derive_implicit(store, "support", now=lambda: max(turn.started_at for turn in turns) + later)
    said = store.feedback.of(turns)
    return {id: sorted(standing(rows)) for id, rows in said.items() if standing(rows)}


def test_the_same_question_in_other_words_is_a_rephrase(store: Store) -> None:
    turns = talk("Where is my order?", "I mean the order from Monday, where is it?", "Thank you!")

    assert found(store, *turns) == {"talk-0": ["rephrase"]}
    (said,) = store.feedback.of(turns)["talk-0"]
    assert (said.kind, said.score, said.confidence) == ("implicit", 2, CONFIDENCE["rephrase"])
    assert said.recorded_at == turns[1].started_at
    assert said.idempotency_key == "implicit:rephrase:talk-0"


def test_a_question_about_another_thing_is_none(store: Store) -> None:
    assert found(store, *talk("How much is shipping to France?", "How much is shipping to Spain?", "And to Italy?")) == {}


def test_what_is_asked_again_much_later_or_at_a_programs_speed_is_none(store: Store) -> None:
    slow = talk("Where is my order?", "Where exactly is the order of mine?", name="slow", every_s=3600)
    fast = talk("Where is my order?", "Where exactly is the order of mine?", name="fast", every_s=2.1)

    assert found(store, *slow, *fast) == {}


def test_the_same_message_again_is_a_retry(store: Store) -> None:
    assert found(store, *talk("Where is my order?", "where is my  order?")) == {"talk-0": ["retry"]}


def test_a_short_yes_given_twice_is_no_retry(store: Store) -> None:
    assert found(store, *talk("Yes please", "Yes please")) == {}


@pytest.mark.parametrize("conversation", ["talk", None])
def test_the_same_messages_with_another_answer_are_a_regeneration(store: Store, conversation: str | None) -> None:
    first, second = talk("Hello there!", "Where is my order?", conversation_id=conversation)
    again = second.model_copy(update={"id": "again", "started_at": second.started_at + timedelta(minutes=1)})

    assert found(store, first, second, again) == {"talk-1": ["regenerate"]}


def test_strangers_with_the_same_first_message_do_not_regenerate_each_other(store: Store) -> None:
    strangers = [
        an_interaction(id=f"stranger-{n}", conversation_id=None, started_at=NOON + timedelta(minutes=n)) for n in range(5)
    ]

    assert found(store, *strangers) == {}


def test_a_session_is_known_by_its_messages_or_its_user_where_ids_are_missing_or_differ(store: Store) -> None:
    by_messages = talk("Where is my order?", "I mean the order from Monday, where is it?", name="m")
    by_messages = [one.model_copy(update={"conversation_id": f"row {n}"}) for n, one in enumerate(by_messages)]
    by_user = [
        an_interaction(text, id=f"u-{n}", user_id="u_1", started_at=NOON + timedelta(minutes=n))
        for n, text in enumerate(["Can I get a refund?", "I would like to get a refund for the broken lamp."])
    ]

    assert found(store, *by_messages, *by_user) == {"m-0": ["rephrase"], "u-0": ["rephrase"]}


@pytest.mark.parametrize("shared", ["conversation_id", "user_id"])
def test_an_id_that_stands_for_a_whole_service_tells_nothing(store: Store, shared: str) -> None:
    calls = [
        an_interaction("Where is my order?", id=f"call-{n}", started_at=NOON + timedelta(seconds=20 * n), **{shared: "service"})
        for n in range(250)
    ]

    assert found(store, *calls, later=timedelta(hours=3)) == {}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_order_in_which_calls_reached_the_store_changes_nothing(store: Store, random: random.Random) -> None:
    talks = (
        talk("Where is my order?", "I mean the order from Monday, where is it?", name="a"),
        talk("Can I get a refund?", "Can I get a refund?", "Thanks", name="b", conversation_id=None),
        talk("How much is shipping to France?", "How much is shipping to Spain?", name="c", user_id="u"),
    )
    task = f"task {random.random()}"
    turns = [turn.model_copy(update={"id": f"{task} {turn.id}", "task": task}) for turns in talks for turn in turns]
    random.shuffle(turns)
    store.interactions.add(turns)

    report = derive_implicit(store, task, now=lambda: NOON + timedelta(hours=3))

    assert report.found == {"abandonment": 1, "rephrase": 1, "retry": 1}


def test_a_tools_result_is_no_message_of_a_person(store: Store) -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(id="c", function=FunctionCall(name="find_order")),))
    asked = an_interaction("Where is my order?", id="call", response=call, conversation_id=None)
    result = Message(role="tool", content="on its way", tool_call_id="c")
    told = an_interaction(
        id="told",
        messages=(*asked.messages, call, result),
        conversation_id=None,
        started_at=NOON + timedelta(seconds=5),
    )
    again = an_interaction(
        id="again",
        messages=(*told.messages, assistant("It arrives on Monday."), user("No, I mean where is my other order?")),
        conversation_id=None,
        started_at=NOON + timedelta(seconds=60),
    )

    assert found(store, asked, told, again) == {"told": ["rephrase"]}


def test_a_call_inside_another_and_a_failed_one_say_nothing(store: Store) -> None:
    inner = talk("Where is my order?", "Where is my order?", name="inner", parent_id="agent")
    failed = talk("Where is my order?", "Where is my order?", name="failed")
    failed[0] = failed[0].model_copy(update={"status": "error", "response": None})

    assert found(store, *inner, *failed) == {}


def test_who_tries_again_and_leaves_has_given_up(store: Store) -> None:
    turns = talk("Where is my order?", "I mean the order from Monday, where is it?")

    assert found(store, *turns, later=timedelta(minutes=10)) == {"talk-0": ["rephrase"]}
    assert found(store, *turns, later=timedelta(hours=3)) == {"talk-0": ["rephrase"], "talk-1": ["abandonment"]}
    (left,) = store.feedback.of(turns)["talk-1"]
    assert left.confidence == CONFIDENCE["abandonment after trying again"] < 0.5


def test_who_leaves_with_thanks_or_as_everybody_does_has_not_given_up(store: Store) -> None:
    thanked = talk("Where is my order?", "I mean the order from Monday, where is it?", "Thanks!", name="thanked")
    plain = talk("Where is my order?", name="plain")

    assert found(store, *thanked, *plain, later=timedelta(hours=3)) == {"thanked-0": ["rephrase"]}


def test_who_leaves_earlier_than_the_tasks_people_do_may_have_given_up(store: Store) -> None:
    usual = [turn for n in range(30) for turn in talk("First thing?", "Another, quite different matter.", "Bye", name=f"n{n}")]
    early = talk("What is this?", name="early")

    assert found(store, *usual, *early, later=timedelta(hours=3)) == {"early-0": ["abandonment"]}
    assert store.feedback.of(early)["early-0"][0].confidence == CONFIDENCE["abandonment"]


def test_who_comes_back_had_not_left(store: Store) -> None:
    first = talk("Where is my order?", "I mean the order from Monday, where is it?")
    assert found(store, *first, later=timedelta(hours=3))["talk-1"] == ["abandonment"]

    said = (*first[1].messages, assistant("Answer 1 of talk."), user("Hello, it came this morning."))
    back = an_interaction(id="back", messages=said, conversation_id="talk", started_at=NOON + timedelta(hours=5))

    assert found(store, *first, back, later=timedelta(minutes=1)) == {"talk-0": ["rephrase"]}
    assert {one.label for one in store.feedback.of(first)["talk-1"]} == {"abandonment", "returned"}


def test_a_second_run_adds_nothing(store: Store) -> None:
    store.interactions.add(talk("Where is my order?", "I mean the order from Monday, where is it?"))

    first = derive_implicit(store, "support", now=lambda: MUCH_LATER)
    second = derive_implicit(store, "support", now=lambda: MUCH_LATER + timedelta(days=1))

    assert (first.added, second.added) == (2, 0)
    assert first.found == second.found == {"abandonment": 1, "rephrase": 1}
    assert (first.interactions, first.sessions, first.embedder) == (2, 1, "hashed-384-0")


def test_since_reads_what_is_new_and_the_sessions_it_belongs_to(store: Store) -> None:
    old = talk("Where is my order?", "I mean the order from Monday, where is it?", name="old", starts_s=-30 * 86_400)
    recent = talk("Can I get a refund?", "I would like to get a refund for the broken lamp.", name="recent", starts_s=-60)
    store.interactions.add([*old, *recent])

    report = derive_implicit(store, "support", since=NOON, now=lambda: NOON + timedelta(minutes=5))

    assert report.found == {"rephrase": 1}
    assert report.interactions == 2


def test_an_edit_tells_by_how_much_was_changed_how_good_the_draft_was(store: Store) -> None:
    kept, changed, redone = (
        an_interaction(answer="Your parcel arrives on Monday before noon, at the usual place.", id=f"draft-{n}") for n in range(3)
    )
    store.interactions.add([kept, changed, redone])
    feedback_door.implicit_sync("draft-0", "edit", final_text="Your parcel arrives on Monday before noon, at the usual place.")
    feedback_door.implicit_sync("draft-1", "edit", final_text="Your parcel arrives on Tuesday before noon, at the usual place.")
    assert flush()
    store.feedback.add([Feedback(interaction_id="draft-2", kind="implicit", correction="We cannot find it; sorry.")])

    report = derive_implicit(store, "support", now=lambda: NOON)

    said = store.feedback.of([kept, changed, redone])
    score = {id: standing(rows)["edit_distance"].score for id, rows in said.items()}
    assert score == {"draft-0": 5, "draft-1": pytest.approx(4.6, abs=0.1), "draft-2": pytest.approx(1, abs=0.4)}
    assert report.found == {"edit_distance": 3}
    assert derive_implicit(store, "support", now=lambda: NOON).added == 0


def test_the_newest_edit_counts(store: Store) -> None:
    asked = an_interaction(answer="It arrives on Monday.", id="draft")
    store.interactions.add([asked])
    for minute, text in enumerate(["Quite something else, really now.", "It arrives on Monday."]):
        at = NOON + timedelta(minutes=minute)
        store.feedback.add([Feedback(interaction_id="draft", kind="implicit", correction=text, recorded_at=at)])

    derive_implicit(store, "support", now=lambda: NOON)

    assert standing(store.feedback.of([asked])["draft"])["edit_distance"].score == 5


def test_share_changed_counts_words() -> None:
    assert share_changed("One two  THREE four", "one two three four") == 0
    assert share_changed("one two three four", "one two five four") == 0.25
    assert share_changed("one two", "three four") == 1
    assert share_changed("", "") == 0


def test_what_the_application_reports_is_not_derived_again(store: Store) -> None:
    turns = talk("Where is my order?", "Where is my order?")
    store.feedback.add([Feedback(interaction_id="talk-0", kind="implicit", label="retry", score=2, confidence=0.9)])

    found(store, *turns)

    assert [one.confidence for one in store.feedback.of(turns)["talk-0"]] == [0.9]


def test_implicit_signals_are_nobodys_verdict(store: Store) -> None:
    turns = talk("Where is my order?", "Where is my order?")
    found(store, *turns)

    assert human_rating(store.feedback.of(turns)["talk-0"]).score is None
    assert store.feedback.count("support") == 0


def test_a_confidence_is_counted_once_people_have_said_enough(store: Store) -> None:
    turns = [turn for n in range(60) for turn in talk("Where is my order?", "Where is my order?", "Bye", name=f"t{n}")]
    store.interactions.add(turns)
    rng = random.Random(0)
    scores = {f"t{n}-0": 1 if rng.random() < 0.9 else 5 for n in range(CALIBRATION_SIZE + 10)}

    few = derive_implicit(store, "support", now=lambda: NOON)
    store.feedback.add(Feedback(interaction_id=id, score=score) for id, score in scores.items())
    enough = derive_implicit(store, "support", now=lambda: NOON)

    assert not few.calibrated
    (retry,) = [one for one in enough.calibration if one.signal == "retry"]
    bad = sum(score == 1 for score in scores.values())
    assert (retry.verdicts, retry.right, retry.calibrated) == (40, bad, True)
    assert retry.confidence == pytest.approx((10 * 0.65 + bad) / 50, abs=0.001)
    assert retry.usual == pytest.approx(bad / 40, abs=0.001)


def test_an_empty_task_has_no_signals(store: Store) -> None:
    report = derive_implicit(store, "support")

    assert (report.interactions, report.sessions, report.found, report.added) == (0, 0, {}, 0)
