"""The benchmarks of curation: what they are run on is as it is described, and their own checks would see a fault."""

import copy
import json
import random
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.claims import Setting
from benchmarks.curation import logs, tuning
from benchmarks.curation.__main__ import SUITE
from benchmarks.curation.made_up import bank, dialogues
from benchmarks.curation.queries import bank_queries, fill, log_rows, logs_are_real
from continuum.demo.world import World
from continuum.policy import SplitPolicy
from continuum.store.database import Store


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A benchmark's setting, without data and without a word."""
    folder = tmp_path / "bench"
    folder.mkdir()
    return Setting(quick=True, folder=folder, data=None, seed=0, say=lambda text: None)


# --- queries and logs ----------------------------------------------------------------------------------------------


def test_made_up_queries_are_many_distinct_and_apart_from_their_test(setting: Setting):
    queries = bank_queries(setting)

    assert queries.made_up
    assert len(set(queries.intents)) >= 30
    assert len(set(queries.texts)) == len(queries.texts) == len(queries.intents) >= 5000
    assert set(queries.test_intents) == set(queries.intents)
    assert not set(queries.texts) & set(queries.test_texts)
    assert bank(0) == bank(0) != bank(1)


def test_queries_come_from_a_folder_where_it_has_them(setting: Setting, tmp_path: Path):
    (tmp_path / "banking77").mkdir()
    (tmp_path / "banking77" / "train.csv").write_text(
        'text,category\n"where, oh where",late\n where is it ,late\nwhere is it,late\n'
    )
    (tmp_path / "banking77" / "test.csv").write_text("text,category\nwhere is it,late\nhow much,fee\n")

    found = bank_queries(Setting(True, setting.folder, tmp_path, 0, print))

    assert (found.texts, found.intents) == (["where, oh where", "where is it"], ["late", "late"])
    assert (found.test_texts, found.test_intents) == (["how much"], ["fee"])
    assert not found.made_up


def test_made_up_dialogues_are_logged_as_real_ones_are():
    rows = dialogues("movies", 400, seed=3)
    contexts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        contexts[json.dumps(row["messages"])].add(row["feedback"]["label"])

    assert rows == dialogues("movies", 400, seed=3)
    assert len({row["id"] for row in rows}) == len({row["conversation_id"] for row in rows}) == len(rows) == 400
    assert sum(bool(row["response"].get("tool_calls")) for row in rows) > 50
    assert sum(labels == {"good", "bad"} for labels in contexts.values()) > 20
    begun = [json.dumps(row["messages"])[:-1] for row in rows]
    assert sum(later.startswith(earlier + ", ") for earlier, later in pairwise(begun)) > 100


def test_rows_come_from_the_folder_s_file_and_are_imported_with_their_verdicts(setting: Setting, store: Store, tmp_path: Path):
    (tmp_path / "films.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues("films", 20, seed=0)), "utf-8")
    real = Setting(True, setting.folder, tmp_path, 0, print)

    rows = log_rows(real, "films")
    policy = fill(store, rows, setting.folder)

    assert logs_are_real(real, "films")
    assert not logs_are_real(setting, "films")
    assert policy.judge.model is None
    assert store.interactions.count("films") == len(rows) == 20
    said = store.feedback.of(store.interactions.scan("films"))
    assert sum(len(opinions) for opinions in said.values()) == 20


def test_rows_that_cannot_be_imported_are_named(setting: Setting, store: Store):
    rows = dialogues("films", 2, seed=0)

    with pytest.raises(ValueError, match="one is needed"):
        fill(store, [*rows, {**rows[0], "task": "other"}], setting.folder)
    with pytest.raises(ValueError, match="1 of 2 rows were refused; line 2"):
        fill(store, [rows[0], {**rows[1], "messages": []}], setting.folder)


# --- what the log is checked for -----------------------------------------------------------------------------------


def asked(*turns: str, conversation: str = "c", answer: str = "Two days.", score: int = 5) -> dict[str, Any]:
    """A row whose context is a greeting and these turns of user and assistant."""
    roles = ["user" if n % 2 == 0 else "assistant" for n in range(len(turns))]
    messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]
    return {
        "conversation_id": conversation,
        "messages": [{"role": "assistant", "content": "Hello!"}, *messages],
        "response": {"role": "assistant", "content": answer},
        "feedback": {"score": score},
    }


def found_crossings(golden: dict[str, Any], trained: dict[str, Any], cap: int = 50) -> list[int]:
    """How one golden row and one learned row are told to cross, in the order of `logs.SHARED`."""
    rows = {"g": golden, "t": trained}
    return list(logs.crossings(rows, ["g"], ["t"], SplitPolicy(opening_cap=cap)).values())


def test_rows_that_share_nothing_do_not_cross():
    assert found_crossings(asked("Where is it?"), asked("How much?", conversation="d")) == [0, 0, 0, 0]


def test_a_shared_conversation_context_opening_or_continuation_is_each_found():
    golden = asked("Where is it?", "Which?", "The lamp.")

    assert found_crossings(golden, asked("How much?")) == [1, 0, 0, 0]
    assert found_crossings(golden, asked("where  is IT?", "which?", "The lamp.", conversation="d")) == [0, 1, 1, 1]
    assert found_crossings(golden, asked("Where is it?", "Why?", "So.", conversation="d")) == [0, 0, 1, 0]
    assert found_crossings(golden, asked(*["Where is it?", "Which?", "The lamp.", "Ah.", "Well?"], conversation="d"))[3] == 1


def test_a_greeting_that_very_many_begin_with_is_no_crossing():
    assert found_crossings(asked("Hi", "Yes?", "It is late."), asked("Hi", "Yes?", "Too dear.", conversation="d"), 1) == [
        0,
        0,
        0,
        0,
    ]


def test_each_difference_between_a_removed_row_and_its_keeper_is_found():
    kept = asked("Two seats on day 3")
    call = {"id": "x", "type": "function", "function": {"name": "book", "arguments": '{"seats": 2, "hall": "a"}'}}
    called = copy.deepcopy(kept) | {"response": {"role": "assistant", "content": None, "tool_calls": [call]}}
    again = copy.deepcopy(called)
    again["response"]["tool_calls"][0]["function"]["arguments"] = '{"hall": "a","seats": 2}'

    assert logs.differences(asked("Two seats on  day 3!"), kept) == []
    assert logs.differences(asked("Two seats on day 4"), kept) == ["number"]
    assert logs.differences(asked("Two seats on day 3", score=1), kept) == ["verdict"]
    assert "action" in logs.differences(called, kept)
    assert logs.differences(again, called) == []


def test_captured_text_cannot_steer_the_terminal():
    assert logs.plain("\x1b[31mred[/]\n") == " (31mred(/) "


# --- picks for a language model ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pool_asks_few_things_often_and_has_wrong_answers_that_mostly_score_lower():
    pool, shares = tuning.drawn(World(), random.Random(1))

    assert len({one.question.text for one in pool}) == len(pool) > 2000
    assert sum(shares) == pytest.approx(1)
    assert max(shares) > 20 * min(shares)
    assert 0.15 < sum(not one.right for one in pool) / len(pool) < 0.25
    good, picks = tuning.gated(pool, 100, seed=0)
    assert sum(not one.right for one in good) / len(good) < 0.08
    for strategy in (None, "active_learning"):
        assert len(set(picks(strategy))) == 100
    assert picks(None) == picks(None)


def test_a_difference_is_told_with_its_interval_and_none_is_claimed_of_one_seed():
    def runs(*balanced: float) -> list[tuning.Scored]:
        return [tuning.Scored(loss, loss, 0.1, 1.0, 0.0) for loss in balanced]

    names = [name for name, _ in tuning.SHOWN[:2]]
    three = tuning.Plan(seeds=3, base_rows=1, base_steps=1, picks=1, steps=1)
    better = tuning.told({names[0]: runs(1.0, 1.1, 0.9), names[1]: runs(0.5, 0.7, 0.4)}, three, 1)
    noisy = tuning.told({names[0]: runs(1.0, 1.1, 0.9), names[1]: runs(0.1, 1.9, 0.8)}, three, 1)
    one = tuning.told({names[0]: runs(1.0), names[1]: runs(0.5)}, tuning.QUICK, 1)

    assert [entry.holds for entry in better.entries] == [True, None]
    assert [entry.holds for entry in noisy.entries] == [True, None]
    assert "95 % t interval" in better.entries[1].claim
    assert len(one.entries) == 1
    assert tuning.differences(runs(1.0), runs(0.25), "balanced") == np.array([0.75])


@pytest.mark.slow
def test_a_model_is_tuned_on_the_picks_of_both_and_answers_better_than_its_base(setting: Setting):
    plan = tuning.Plan(seeds=1, base_rows=300, base_steps=10, picks=60, steps=15, ways=2)

    result = tuning.measure(setting, plan)

    (entry,) = result.entries
    assert entry.ours is not None
    assert 0 < entry.ours < 8


def test_the_suite_names_a_benchmark_a_claim():
    assert SUITE.names == ("hashing", "duplicating", "selecting", "tuning", "building", "leaking", "logs")
