"""What was erased is not taken in again, whichever way it comes, on both databases."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from continuum.records import Feedback
from continuum.store.database import Store
from continuum.store.golden_answers import AnswerLabel
from continuum.store.refusing import hash_of, tombstone_of
from tests.builders import NOON, an_interaction

LATER = NOON + timedelta(hours=1)


def refuse(store: Store, kind, *names: str, before=None, task: str = "") -> None:
    hashes = dict.fromkeys(store.erasures.hashed(names, kind, task), kind)
    store.erasures.refuse("e", hashes, before=before, now=lambda: LATER)


def test_an_id_that_was_erased_is_refused_and_counted_and_others_are_not(store: Store) -> None:
    refuse(store, "interaction", "gone", "chatcmpl-gone")
    rows = [an_interaction(id="gone"), an_interaction(id="other"), an_interaction(id="x", provider_response_id="chatcmpl-gone")]

    assert store.interactions.add(rows) == 1
    assert [one.id for one in store.interactions.scan("support")] == ["other"]
    assert store.erasures.refused() == (2, 2)


def test_of_a_user_what_began_before_is_refused_and_what_began_later_is_not(store: Store) -> None:
    refuse(store, "user", "u", before=LATER)

    store.interactions.add([an_interaction(id="old", user_id="u"), an_interaction(id="new", user_id="u", started_at=LATER)])
    store.feedback.add([Feedback(id="o", interaction_id="new", user_id="u", recorded_at=NOON)])
    store.feedback.add([Feedback(id="n", interaction_id="new", user_id="u", recorded_at=LATER)])

    assert [one.id for one in store.interactions.scan("support")] == ["new"]
    assert [one.id for found in store.feedback.of(store.interactions.scan("support")).values() for one in found] == ["n"]


def test_a_user_of_one_task_is_not_refused_in_another(store: Store) -> None:
    refuse(store, "user", "u", task="support")

    store.interactions.add([an_interaction(id="a", user_id="u"), an_interaction(id="b", user_id="u", task="sales")])

    assert store.interactions.get("a") is None
    assert store.interactions.get("b") is not None


def test_who_asks_again_is_forgotten_up_to_the_later_moment(store: Store) -> None:
    refuse(store, "user", "u", before=NOON)
    refuse(store, "user", "u", before=LATER)

    assert store.interactions.add([an_interaction(id="between", user_id="u", started_at=NOON + timedelta(minutes=1))]) == 0


def test_a_segment_of_the_spool_is_drained_past_what_is_refused(store: Store) -> None:
    refuse(store, "interaction", "gone")
    said = [Feedback(id="f", interaction_id="gone")]

    drained = store.drain([an_interaction(id="gone"), an_interaction(id="kept")], said, segment="s", seen=0, offset=9)

    assert drained is not None
    assert (drained.interactions, drained.feedback, sorted(drained.refused)) == (1, 0, ["f", "gone"])
    assert store.segments.offset("s") == 9


def test_what_judges_and_people_still_say_of_it_is_not_kept(store: Store) -> None:
    refuse(store, "interaction", "gone")
    label = AnswerLabel(answer="a", metric="m", labeller="l", task="support", interaction_id="gone", score=1.0, created_at=NOON)

    assert store.golden_labels.put([label]) == {"gone"}
    assert store.feedback.add([Feedback(id="f", interaction_id="gone", score=1)]) == 0


def test_neither_the_id_nor_its_plain_hash_stands_in_the_store(store: Store) -> None:
    refuse(store, "interaction", "a-name-that-tells-who")

    with store.engine.connect() as connection:
        from continuum.store.erasure_tables import erased_ids

        [row] = connection.execute(erased_ids.select()).all()
    assert "a-name-that-tells-who" not in str(row)
    assert row.hash == store.erasures.hashed(["a-name-that-tells-who"], "interaction")[0]
    assert row.hash != hash_of(b"another key", "interaction", "a-name-that-tells-who")


@given(st.binary(min_size=32, max_size=32), st.text(), st.text())
def test_two_ids_never_share_a_tombstone(key: bytes, one: str, other: str) -> None:
    assert (tombstone_of(key, one) == tombstone_of(key, other)) == (one == other)
    assert hash_of(key, "user", one) != hash_of(key, "interaction", one)
