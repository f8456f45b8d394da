"""A piece of a spool segment reaches the store exactly once, whoever drains it and however often."""

import multiprocessing
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from continuum.records import Feedback, Message
from continuum.store.database import Store, open_store
from continuum.store.tables import bodies, segments
from tests.builders import NOON, an_interaction, interactions

HALF_A_PAIR = "\ud800"


def test_a_piece_is_stored_with_its_tasks_and_its_offset(store: Store) -> None:
    batch = [*interactions(5), an_interaction(task="new-task")]
    said = Feedback(interaction_id=batch[0].id, score=5)

    drained = store.drain(batch, [said], segment="a", seen=0, offset=700)

    assert drained is not None
    assert (drained.interactions, drained.feedback, drained.refused) == (6, 1, ())
    assert store.segments.offset("a") == 700
    assert store.tasks.names() == ["new-task", "support"]
    assert list(store.interactions.scan("support")) == batch[:5]
    assert store.feedback.of(batch) == {batch[0].id: [said]}


def test_a_piece_that_somebody_else_drained_writes_nothing(store: Store) -> None:
    store.drain([], [], segment="a", seen=0, offset=700)

    assert store.drain(interactions(3), [], segment="a", seen=0, offset=900) is None
    assert store.drain(interactions(3), [], segment="a", seen=650, offset=900) is None
    assert store.segments.offset("a") == 700
    assert store.interactions.count("support") == 0


def test_the_same_records_from_another_segment_count_once(store: Store) -> None:
    batch, said = interactions(4), Feedback(interaction_id="x", score=2)
    store.drain(batch, [said], segment="a", seen=0, offset=10)

    again = store.drain([*batch, an_interaction("Another?")], [said], segment="b", seen=0, offset=10)

    assert again is not None
    assert (again.interactions, again.feedback) == (1, 0)
    assert store.interactions.count("support") == 5


def test_a_forgotten_segment_begins_anew(store: Store) -> None:
    store.drain([], [], segment="b", seen=0, offset=1)
    store.drain([], [], segment="a", seen=0, offset=5)
    store.drain([], [], segment="a", seen=5, offset=9)

    assert store.segments.names() == ["a", "b"]
    store.segments.forget("a")
    assert (store.segments.names(), store.segments.offset("a")) == (["b"], 0)


@pytest.mark.parametrize("number", [0, 3, 6])
def test_a_row_the_database_refuses_costs_the_others_nothing(store: Store, number: int) -> None:
    batch = interactions(7)
    batch[number] = an_interaction(HALF_A_PAIR, id="broken-text")
    batch.insert(2, an_interaction("Too many?", id="broken-number", input_tokens=2**70))
    batch.append(an_interaction("Where?", id="broken-task", task="../up"))
    said = [Feedback(interaction_id="x", score=1), Feedback(id="broken-word", interaction_id=HALF_A_PAIR, score=2)]

    drained = store.drain(batch, said, segment="a", seen=0, offset=10)

    assert drained is not None
    assert set(drained.refused) == {"broken-text", "broken-number", "broken-task", "broken-word"}
    assert (drained.interactions, drained.feedback) == (6, 1)
    assert store.segments.offset("a") == 10
    assert list(store.interactions.scan("support")) == [one for one in batch if not one.id.startswith("broken")]


def test_text_that_means_something_to_copy_arrives_as_it_was(store: Store) -> None:
    text = 'a\tb\nc\\n\\N \\. \r\n"quoted" \\\\x41 é 漢 🎬'
    one = an_interaction(text, text, error=text, model="\\N", user_id="\\.", tags={text: text})

    store.drain([one], [], segment="a", seen=0, offset=1)

    assert store.interactions.get(one.id) == one


def test_what_was_said_word_for_word_alike_is_stored_once(store: Store) -> None:
    batch = [an_interaction("Hello?", "Hi.", id=str(n), latency_ms=float(n)) for n in range(50)]
    batch.append(an_interaction(messages=(Message.model_validate({"role": "user", "b": 1, "a": 2}),)))
    batch.append(an_interaction(messages=(Message.model_validate({"role": "user", "a": 2, "b": 1}),)))

    store.drain(batch, [], segment="a", seen=0, offset=1)

    assert list(store.interactions.scan("support")) == batch
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(bodies)).scalar() == 2


def test_two_doors_in_one_piece_are_one_row(store: Store) -> None:
    served = an_interaction("Half", id="both", source="gateway", deployment_id="d1")
    captured = an_interaction("The whole question", id="both", source="capture")

    drained = store.drain([served, an_interaction("Other"), captured], [], segment="a", seen=0, offset=1)

    assert drained is not None
    assert drained.interactions == 2
    assert store.interactions.get("both") == captured.model_copy(update={"deployment_id": "d1"})


def _drain_many(url: str, writer: int, pieces: int) -> None:
    mine = open_store(url)
    for piece in range(pieces):
        batch = [
            # Every writer says some of what the others say, in another order.
            an_interaction(f"Shared {(n * (writer + 1)) % 7}", id=f"{writer}-{piece}-{n}", task=f"task-{(n + writer) % 3}")
            for n in range(20)
        ]
        # Postgres finds after a second that two writers wait for each other, so few pieces do.
        both = [an_interaction(id=f"both-{piece}-{n}", source="capture") for n in range(5) if piece < 2]
        batch = [*batch, *(both if writer % 2 else reversed(both))]
        assert mine.drain(batch, [], segment=str(writer), seen=piece, offset=piece + 1) is not None
    mine.close()


@pytest.mark.slow
def test_eight_processes_that_drain_at_once_lose_and_lock_nothing(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    spawn = multiprocessing.get_context("forkserver")
    writers = [spawn.Process(target=_drain_many, args=(url, writer, 12)) for writer in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0] * 8
    found = {one.id for task in store.tasks.names() for one in store.interactions.scan(task)}
    assert len(found) == 8 * 12 * 20 + 2 * 5
    with store.engine.connect() as connection:
        assert set(connection.execute(select(segments.c.offset)).scalars()) == {12}
        assert connection.execute(select(func.count()).select_from(bodies)).scalar() == 8


def test_arrival_is_noted_by_the_writers_clock(store: Store) -> None:
    store.drain(interactions(1), [], segment="a", seen=0, offset=1, now=lambda: NOON + timedelta(hours=2))

    with store.engine.connect() as connection:
        assert connection.execute(select(segments.c.updated_at)).scalar() == NOON + timedelta(hours=2)
