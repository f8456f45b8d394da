"""What models answered to golden items and what people said of it: kept once, and erased with its interaction."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import DatasetRecord, FunctionCall, Message, ToolCall
from continuum.store.database import Store
from continuum.store.golden_answers import AnswerLabel, KeptAnswer
from continuum.store.learning import DatasetItem
from continuum.store.retention import apply_retention, erase
from tests.builders import NOON, an_interaction, assistant


def an_answer(key: str, interaction_id: str | None = None, answer: Message | None = None, **fields: str) -> KeptAnswer:
    values = {"task": "support", "model": "c1"} | fields
    return KeptAnswer(key, values["task"], interaction_id, values["model"], answer or assistant(f"answer {key}"), NOON)


def a_label(answer: str, labeller: str = "ann", score: float = 0.5, metric: str = "tone", of: str = "one") -> AnswerLabel:
    return AnswerLabel(answer, metric, labeller, "support", of, score, NOON)


def held_out(store: Store, *ids: str) -> None:
    """Golden items, with the interactions behind them."""
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=1)))
    store.interactions.add([an_interaction(f"question {one}", id=one) for one in ids])
    record = DatasetRecord(id="g", task="support", kind="golden", name="support_golden_v1", version=1, uri="x", manifest={})
    store.datasets.add(record, [DatasetItem(interaction_id=one, split="golden") for one in ids])


# --- answers -----------------------------------------------------------------------------------------------------


def test_an_answer_is_found_by_its_key_and_none_is_an_answer_too(store: Store) -> None:
    call = ToolCall(id="call_1", function=FunctionCall(name="track", arguments='{"parcel": 7}'))
    calling = Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call], "refusal": None})
    silent = KeptAnswer("k3", "support", None, "c1", None, NOON)

    new = store.golden_answers.keep([an_answer("k1"), an_answer("k2", answer=calling), silent])

    assert new == 3
    assert store.golden_answers.of(["k1", "k2", "k3", "k4"]) == {"k1": assistant("answer k1"), "k2": calling, "k3": None}


def test_the_answer_that_came_first_stays(store: Store) -> None:
    store.golden_answers.keep([an_answer("k1")])

    assert store.golden_answers.keep([an_answer("k1", answer=assistant("another")), an_answer("k2")]) == 1
    assert store.golden_answers.of(["k1"]) == {"k1": assistant("answer k1")}


def test_processes_that_keep_the_same_at_once_end_with_one_answer_each(store: Store) -> None:
    def keep(n: int) -> int:
        return store.golden_answers.keep([an_answer(f"k{k}", answer=assistant(f"said by {n}")) for k in range(40)])

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(keep, range(6))) == 40
    assert store.golden_answers.count("support") == 40


def test_answers_that_no_other_table_takes_are_kept_as_they_were_said(store: Store) -> None:
    hostile = assistant("\x00\ud800 <script>' ; DROP TABLE golden_answers --")

    store.golden_answers.keep([an_answer("k", answer=hostile)])

    assert store.golden_answers.of(["k"]) == {"k": hostile}


def test_answers_are_counted_by_task_and_model(store: Store) -> None:
    store.golden_answers.keep([an_answer("k1"), an_answer("k2", model="c2"), an_answer("k3", task="sales")])

    assert store.golden_answers.count("support") == 2
    assert store.golden_answers.count("support", "c2") == 1


# --- what is erased ----------------------------------------------------------------------------------------------


def test_answers_and_labels_are_erased_with_their_interaction_and_those_of_probes_stay(store: Store) -> None:
    held_out(store, "one", "two")
    store.golden_answers.keep([an_answer("k1", "one"), an_answer("k2", "two"), an_answer("k3")])
    store.golden_labels.put([a_label("a1", of="one"), a_label("a2", of="two")])

    erase(store, ["one"])

    assert set(store.golden_answers.of(["k1", "k2", "k3"])) == {"k2", "k3"}
    assert store.golden_labels.of(["a1", "a2"], "tone") == {"a2": {"ann": 0.5}}


def test_what_is_too_old_takes_its_answers_and_labels_along(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=1)))
    store.interactions.add([an_interaction(id="one", started_at=NOON - timedelta(days=9))])
    store.golden_answers.keep([an_answer("k1", "one")])
    store.golden_labels.put([a_label("a1", of="one")])

    apply_retention(store, "support", now=lambda: NOON)

    assert store.golden_answers.count("support") == store.golden_labels.count("support") == 0


@pytest.mark.parametrize("member", [True, False])
def test_nothing_is_kept_of_what_was_erased_while_the_model_was_asked(store: Store, member: bool) -> None:
    if member:
        held_out(store, "one")
    else:
        store.interactions.add([an_interaction(id="one")])
    seen = () if member else store.golden_answers.there(["one"])
    erase(store, ["one"])

    assert store.golden_answers.keep([an_answer("k1", "one"), an_answer("k2")], seen=seen) == 1
    assert store.golden_answers.of(["k1"]) == {}


def test_whoever_comes_first_nothing_of_what_is_erased_is_left(store: Store) -> None:
    ids = [f"i{n}" for n in range(25)]
    store.interactions.add([an_interaction(f"question {one}", id=one) for one in ids])
    seen = store.golden_answers.there(ids)

    with ThreadPoolExecutor(4) as pool:
        for one in ids:
            at_once = [
                pool.submit(store.golden_answers.keep, [an_answer(f"{one}-1", one)], seen=seen),
                pool.submit(erase, store, [one]),
                pool.submit(store.golden_answers.keep, [an_answer(f"{one}-2", one)], seen=seen),
            ]
            for done in at_once:
                done.result()

    assert store.golden_answers.count("support") == 0


def test_answers_to_items_of_a_file_from_elsewhere_are_kept(store: Store) -> None:
    assert store.golden_answers.keep([an_answer("k1", "never-captured-here")]) == 1


def test_a_label_of_what_was_erased_is_refused_by_name(store: Store) -> None:
    held_out(store, "one", "two", "own-3")
    erase(store, ["one", "own-3"])

    gone = store.golden_labels.put(
        [a_label("a1", of="one"), a_label("a2", of="two"), a_label("a3", of="own-3")], brought={"own-3"}
    )

    assert gone == {"one"}
    assert set(store.golden_labels.of(["a1", "a2", "a3"], "tone")) == {"a2", "a3"}


def test_a_task_that_is_dropped_takes_its_answers_and_labels_along(store: Store) -> None:
    held_out(store, "one")
    store.golden_answers.keep([an_answer("k1", "one"), an_answer("k2"), an_answer("k3", task="sales")])
    store.golden_labels.put([a_label("a1")])

    store.drop_task("support")

    assert set(store.golden_answers.of(["k1", "k2", "k3"])) == {"k3"}
    assert store.golden_labels.count("support") == 0


# --- labels ------------------------------------------------------------------------------------------------------


def test_labels_are_found_by_answer_metric_and_person_and_the_newest_word_stands(store: Store) -> None:
    store.golden_labels.put([a_label("a1"), a_label("a1", "bob", 1.0), a_label("a1", metric="accuracy", score=0.0)])
    store.golden_labels.put([a_label("a1", score=0.75), a_label("a2", score=0.25)])

    assert store.golden_labels.of(["a1", "a2", "a3"], "tone") == {"a1": {"ann": 0.75, "bob": 1.0}, "a2": {"ann": 0.25}}
    assert store.golden_labels.of(["a1"], "accuracy") == {"a1": {"ann": 0.0}}
    assert store.golden_labels.count("support") == 4


def test_more_answers_than_one_statement_takes_are_kept_and_found(store: Store) -> None:
    store.golden_answers.keep(an_answer(f"k{n}", f"item-{n}") for n in range(1200))
    store.golden_labels.put(a_label(f"a{n}", of=f"item-{n}") for n in range(1200))

    assert len(store.golden_answers.of(f"k{n}" for n in range(1200))) == 1200
    assert len(store.golden_labels.of((f"a{n}" for n in range(1200)), "tone")) == 1200
