from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.records import Annotation, Feedback, Interaction, Message
from continuum.store.database import Store, open_store
from tests.builders import NOON, an_interaction, interactions

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)


def test_what_was_stored_is_read_back_as_it_was(store: Store) -> None:
    call = Message.model_validate(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}]}
    )
    written = an_interaction(
        messages=(Message(role="system", content="Be kind."), Message(role="user", content="é 漢 🎬")),
        response=call,
        latency_ms=12.5,
        cost_usd=0.002,
        tags={"route": "a"},
    )

    store.interactions.add([written])

    assert store.interactions.get(written.id) == written


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=words, answer=words, name=words)
def test_any_text_survives_the_store(store: Store, question: str, answer: str, name: str) -> None:
    written = an_interaction(question, answer, user_id=name, tags={"name": name})

    store.interactions.add([written])

    assert store.interactions.get(written.id) == written


def test_adding_the_same_interactions_again_adds_nothing(store: Store) -> None:
    batch = interactions(300)

    assert store.interactions.add(batch) == 300
    assert store.interactions.add(batch + interactions(0)) == 0
    assert store.interactions.count("support") == 300


def test_a_scan_reads_one_task_in_the_order_of_arrival_within_the_window(store: Store) -> None:
    batch = interactions(1200)
    store.interactions.add(batch)
    store.interactions.add([an_interaction(task="other"), an_interaction(status="error", response=None)])

    ids = [found.id for found in store.interactions.scan("support")]
    windowed = list(store.interactions.scan("support", since=NOON + timedelta(minutes=10), until=NOON + timedelta(minutes=20)))

    assert ids == [one.id for one in batch]
    assert len(windowed) == 10


def test_an_interaction_is_found_by_the_providers_response_id(store: Store) -> None:
    written = an_interaction(provider_response_id="chatcmpl-7")
    store.interactions.add([written])

    assert store.interactions.get("chatcmpl-7") == written
    assert store.interactions.get("chatcmpl-8") is None


def test_feedback_may_arrive_before_its_interaction_and_by_either_id(store: Store) -> None:
    written = an_interaction(provider_response_id="chatcmpl-7")
    early = Feedback(interaction_id=written.id, score=2, recorded_at=NOON)
    late = Feedback(interaction_id="chatcmpl-7", score=5, recorded_at=NOON + timedelta(hours=1))
    store.feedback.add([late, early])

    store.interactions.add([written])

    assert store.feedback.of([written]) == {written.id: [early, late]}


def test_feedback_with_a_repeated_idempotency_key_counts_once(store: Store) -> None:
    said = [Feedback(interaction_id="i", score=score, idempotency_key="once") for score in (1, 5)]

    assert [store.feedback.add([one]) for one in said] == [1, 0]


def test_only_what_this_judge_has_not_scored_by_this_rubric_is_unannotated(store: Store) -> None:
    first, second = batch = interactions(2)
    store.interactions.add(batch)
    annotation = Annotation(interaction_id=first.id, task="support", judge="j", rubric="r", scores={"tone": 4}, overall=4)

    assert store.annotations.add([annotation, annotation]) == 1

    assert [one.id for one in store.interactions.unannotated("support", judge="j", rubric="r")] == [second.id]
    assert len(list(store.interactions.unannotated("support", judge="j", rubric="r2"))) == 2
    assert store.annotations.of([first.id, second.id]) == {first.id: annotation}


def test_many_writers_at_once_lose_nothing(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)

    def write(writer: int) -> int:
        mine = open_store(url)
        batch = [Interaction(task="support", conversation_id=f"{writer}-{n}") for n in range(50)]
        added = sum(mine.interactions.add([one]) for one in batch)
        mine.close()
        return added

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 400
    assert store.interactions.count("support") == 400
    assert store.interactions.last_sequence("support") >= 400
