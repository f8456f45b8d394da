"""The benchmarks of training: what they are trained and examined on, and how what they find is told."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claims import Setting
from benchmarks.training import sequence
from benchmarks.training.__main__ import SUITE
from benchmarks.training.corpus import FIRST, SECOND, TASKS, general_lessons, lessons
from benchmarks.training.sequence import ALONE, FORGETS, HOLDS, LIGHT, QUICK, WAYS, Mark, Outcome, two_turns

pytestmark = pytest.mark.slow


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A benchmark's setting, without data and without a word."""
    folder = tmp_path / "bench"
    folder.mkdir()
    return Setting(quick=True, folder=folder, data=None, seed=0, say=lambda text: None)


# --- lessons and exams ---------------------------------------------------------------------------------------------


def test_tasks_share_no_intent_and_are_the_first_turn_s():
    assert [len(intents) for intents in TASKS.values()] == [8, 8, 8]
    assert sorted(intent.topic for intents in TASKS.values() for intent in intents) == sorted(one.topic for one in FIRST)
    assert (len(FIRST), len(SECOND)) == (24, 12)


def test_an_exam_asks_the_same_things_in_words_of_its_own():
    taught = lessons(FIRST, random.Random(0), 8)
    asked = lessons(FIRST, random.Random(0), 4, exam=True)

    assert taught == lessons(FIRST, random.Random(0), 8) != lessons(FIRST, random.Random(1), 8)
    assert len({row.interaction_id for row in taught}) == len(taught) == 8 * 24
    assert not {row.prompt for row in taught} & {row.prompt for row in asked}
    assert {row.response.text for row in taught} == {row.response.text for row in asked} == {one.answer for one in FIRST}


def test_general_questions_of_the_exam_are_in_no_lesson():
    taught, asked = general_lessons(), general_lessons(exam=True)

    assert not {row.prompt for row in taught} & {row.prompt for row in asked}
    assert {row.response.text for row in taught} == {row.response.text for row in asked}


# --- what is told --------------------------------------------------------------------------------------------------


def an_outcome(*, new: float = 0.1, forgetting: float = 2.0, kept: float = 0.0) -> Outcome:
    """What a way came to on one seed."""
    return Outcome(Mark(new, 0.9), Mark(new + forgetting, kept), forgetting, Mark(1.0, 0.5))


SIZE = replace(QUICK, seeds=2, first_steps=(150,), second_steps=150)


def test_each_claim_on_what_is_forgotten_can_be_missed():
    good = {
        FORGETS: [an_outcome(), an_outcome(forgetting=2.2)],
        HOLDS: [an_outcome(new=0.18, forgetting=0.1), an_outcome(new=0.17, forgetting=0.2)],
        LIGHT: [an_outcome(new=0.12, forgetting=0.1), an_outcome(new=0.11, forgetting=0.2)],
        two_turns(150, FORGETS): [an_outcome()] * 2,
        two_turns(150, ALONE): [an_outcome(kept=0.55), an_outcome(kept=0.75)],
    }
    bad = {
        "forgotten over 2 tasks, 2 seeds: EWC + replay": {HOLDS: [an_outcome(forgetting=0.3)] * 2},
        "forgotten over 2 tasks, 2 seeds: EWC at lambda 100": {LIGHT: [an_outcome(forgetting=0.3)] * 2},
        "loss on new": {LIGHT: [an_outcome(new=0.13, forgetting=0.1)] * 2},
        "EWC alone": {two_turns(150, ALONE): [an_outcome(kept=0.5), an_outcome(kept=0.6)]},
        ": plain": {two_turns(150, FORGETS): [an_outcome(kept=0.1)] * 2},
    }

    claimed = [entry for entry in sequence.told(good, SIZE, quick=False).entries if entry.holds is not None]
    assert len(claimed) == 5
    assert all(entry.holds for entry in claimed)
    for words, change in bad.items():
        (missed,) = [entry for entry in sequence.told(good | change, SIZE, quick=False).entries if entry.holds is False]
        assert words in missed.claim


def test_a_task_is_marked_new_right_after_it_was_learned_and_old_at_the_end():
    turns = [
        {"a": Mark(0.1, 1.0), "b": Mark(3.0, 0.0), "general": Mark(1.0, 0.5)},
        {"a": Mark(0.5, 0.5), "b": Mark(0.2, 0.8), "general": Mark(2.0, 0.25)},
    ]

    found = sequence.outcome(turns, ["a", "b"])

    assert found.new == Mark(0.2, 0.8)
    assert found.old == Mark(0.5, 0.5)
    assert found.forgetting == pytest.approx(0.4)
    assert found.general == Mark(2.0, 0.25)


# --- the trainings -------------------------------------------------------------------------------------------------


def test_a_quick_run_trains_both_ways_from_one_first_turn_and_shows_nothing_by_it(setting: Setting):
    result = sequence.measure(setting, QUICK)

    trained = {path.parent.name for path in setting.folder.glob("seed-0/*/marks.json")}
    assert trained == {"shared-0", "plain-lora-1", "ewc---replay-1"}
    assert [entry.holds for entry in result.entries] == [None, None]
    assert all(entry.ours is not None and entry.peer is not None for entry in result.entries)
    assert result.table.row_count == 2


def test_every_way_differs_from_plain_in_what_holds_alone():
    held = {"forgetting_prevention", "replay_share", "general_share"}

    for config in WAYS.values():
        assert config.model_dump(exclude=held) == WAYS[FORGETS].model_dump(exclude=held)


def test_the_suite_names_a_benchmark_a_claim():
    assert "sequence" in SUITE.names
    assert len(set(SUITE.names)) == 9
