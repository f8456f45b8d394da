from datetime import timedelta

from continuum.records import Interaction, Message
from continuum.store.database import Store
from continuum.store.retention import erase
from continuum.store.shadow_answers import ShadowAnswer
from continuum.timespan import utc_now


def answered(number: int, **fields: object) -> ShadowAnswer:
    values = {
        "deployment_id": "d",
        "interaction_id": f"i{number:04}",
        "task": "support",
        "answer": Message(role="assistant", content="hi"),
    }
    return ShadowAnswer.model_validate(values | fields)


def test_answers_come_back_as_they_were_whole_and_in_order(store: Store) -> None:
    given = [answered(number, latency_ms=number / 2) for number in range(1203)]
    failed = answered(1203, answer=None, status="error", error="HTTP 500")

    assert store.shadow_answers.add([*given, failed]) == 1204

    assert list(store.shadow_answers.of("d")) == [*given, failed]
    assert store.shadow_answers.counts("d") == {"ok": 1203, "error": 1}
    assert list(store.shadow_answers.of("another")) == []


def test_the_first_answer_to_a_question_stays(store: Store) -> None:
    first = answered(1)
    store.shadow_answers.add([first])

    assert store.shadow_answers.add([answered(1, answer=None, status="error", error="late"), answered(2)]) == 1
    assert next(store.shadow_answers.of("d")) == first


def test_only_answers_since_a_time_are_read_where_one_is_given(store: Store) -> None:
    now = utc_now()
    store.shadow_answers.add([answered(1, created_at=now - timedelta(hours=1)), answered(2, created_at=now)])

    assert [one.interaction_id for one in store.shadow_answers.of("d", since=now)] == ["i0002"]


def test_an_answer_goes_with_the_interaction_it_answers(store: Store) -> None:
    store.interactions.add([Interaction(id=f"i{number:04}", task="support") for number in (1, 2)])
    store.shadow_answers.add([answered(1), answered(2)])

    erase(store, ["i0001"])

    assert [one.interaction_id for one in store.shadow_answers.of("d")] == ["i0002"]
