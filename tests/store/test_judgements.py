"""What was judged, by content: claimed once, kept once, and erased with its conversation."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import insert, select

from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import Label, Message, Review
from continuum.store.accounts import AccountKey, Balance
from continuum.store.database import Store
from continuum.store.judgements import Content, claim, conversation_hash, forget, keep, release
from continuum.store.judging_tables import anchor_rounds, batch_items, batches, labels, reviews
from continuum.store.retention import apply_retention, erase
from continuum.store.rows import to_row
from continuum.timespan import utc_now
from tests.builders import NOON, an_interaction, user

CONTENT = Content("k1", "c1", "judge")
SAID = {"status": "ok", "scores": {"tone": 4.0}, "overall": 4.0}


def test_a_content_is_claimed_by_one_and_judged_once(store: Store) -> None:
    def ask(n: int) -> bool:
        with store.engine.begin() as connection:
            return claim(connection, CONTENT, f"w{n}", utc_now()).mine

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(16))) == 1


def test_what_was_said_is_there_for_all_and_is_never_replaced(store: Store) -> None:
    with store.engine.begin() as connection:
        claim(connection, CONTENT, "w1", utc_now())
        keep(connection, CONTENT, SAID, utc_now(), worker="w1")
        keep(connection, CONTENT, SAID | {"overall": 1.0}, utc_now(), worker="w2")
        release(connection, CONTENT.key, "w1")
        found = claim(connection, CONTENT, "w2", utc_now())

    assert (found.mine, found.judgement) == (False, SAID)
    assert store.judgements.get("k1") == SAID
    assert (store.judgements.count(), store.judgements.count(claims=True)) == (1, 0)


def test_a_claim_that_is_given_up_is_free_for_the_next(store: Store) -> None:
    with store.engine.begin() as connection:
        claim(connection, CONTENT, "w1", utc_now())
        release(connection, CONTENT.key, "w2")
        assert not claim(connection, CONTENT, "w2", utc_now()).mine
        release(connection, CONTENT.key, "w1")
        assert claim(connection, CONTENT, "w2", utc_now()).mine


def test_nothing_is_kept_of_what_was_erased_while_the_judge_was_asked(store: Store) -> None:
    with store.engine.begin() as connection:
        claim(connection, CONTENT, "w1", utc_now())
        forget(connection, [CONTENT.conversation])
        keep(connection, CONTENT, SAID, utc_now(), worker="w1")

    assert store.judgements.get("k1") is None


def test_a_conversation_has_one_hash_whatever_the_form_of_its_messages() -> None:
    plain = conversation_hash([user("Where is it?")])
    called = {"role": "user", "content": "Where is it?", "tool_calls": None}

    assert conversation_hash([Message.model_validate(called)]) == plain
    assert conversation_hash([user("Where is it?"), user("Hello?")]) != plain
    assert len(conversation_hash([Message.model_validate({"role": "user", "content": "n", "seed": 10**30})])) == 64


def judged(store: Store) -> None:
    """Two interactions with all that judging keeps of an interaction."""
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=1)))
    both = [an_interaction("Old?", id="old", started_at=NOON - timedelta(days=9)), an_interaction("New?", id="new")]
    store.interactions.add(both)
    store.reviews.add([Review(id=f"r-{one.id}", task="support", interaction_id=one.id, queue="audit") for one in both])
    key = AccountKey("support", "annotation", "2026-03-01")
    with store.engine.begin() as connection:
        for one in both:
            content = Content(f"k-{one.id}", conversation_hash(one.messages), "judge")
            claim(connection, content, "w", NOON)
            keep(connection, content, SAID, NOON, worker="w")
            label = Label(review_id=f"r-{one.id}", labeller="ann")
            connection.execute(insert(labels).values(to_row(label)))
        common = {"task": "support", "judge": "judge", "rubric": "r"}
        scores = {"scores": {"old": 4.0, "new": 5.0}, "evidence": {}, "alarm": False, "created_at": NOON}
        connection.execute(insert(anchor_rounds).values(common | scores | {"id": "a", "version": "v"}))
        batch = {"id": "b", "base_url": "", "state": "submitted", "detail": {}, "created_at": NOON, "updated_at": NOON}
        connection.execute(insert(batches).values(common | batch))
        items = {"batch_id": "b", "purpose": "annotation", "period": key.period}
        for one, amount in (("old", 60), ("new", 40)):
            item = {"interaction_id": one, "custom_id": f"k-{one}", "reserved_micro_usd": amount}
            connection.execute(insert(batch_items).values(items | item))
    store.accounts.reserve(key, "batch:b", 100)


def kept(store: Store) -> list[list[str]]:
    with store.engine.connect() as connection:
        rounds = connection.execute(select(anchor_rounds.c.scores)).scalars().all()
        columns = (reviews.c.interaction_id, labels.c.review_id, batch_items.c.interaction_id)
        found = [sorted(connection.execute(select(column)).scalars()) for column in columns]
    named = [key for key in ("k-old", "k-new") if store.judgements.get(key)]
    return [*found, named, [name for scores in rounds for name in sorted(scores)]]


def test_what_is_erased_leaves_nothing_with_judging_and_its_money_is_booked(store: Store) -> None:
    judged(store)

    assert erase(store, ["old"]) == 1

    assert kept(store) == [["new"], ["r-new"], ["new"], ["k-new"], ["new"]]
    assert store.accounts.balance("support") == Balance(60, 40, unknown_micro_usd=60, batched_micro_usd=40)


def test_what_is_too_old_goes_the_same_way(store: Store) -> None:
    judged(store)

    assert apply_retention(store, "support", now=lambda: NOON + timedelta(hours=1)).deleted == 1

    assert kept(store) == [["new"], ["r-new"], ["new"], ["k-new"], ["new"]]


def test_one_batch_request_for_two_interactions_is_paid_for_by_the_one_that_is_left(store: Store) -> None:
    judged(store)
    with store.engine.begin() as connection:
        connection.execute(batch_items.update().values(custom_id="k-new"))

    erase(store, ["old"])

    with store.engine.connect() as connection:
        assert connection.execute(select(batch_items.c.reserved_micro_usd)).scalar_one() == 100
    assert store.accounts.balance("support").reserved_micro_usd == 100


def test_a_task_that_is_dropped_takes_its_money_and_its_judgements_along(store: Store) -> None:
    judged(store)

    store.drop_task("support")

    assert kept(store) == [[], [], [], [], []]
    assert store.accounts.balance("support") == Balance(0, 0)
