"""Both sides answer the same items and are scored by one judge who does not know whose answer is whose."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from continuum.errors import JudgeError
from continuum.guard.arms import both_arms
from continuum.guard.pairs import CHECKS, Arm
from continuum.judging.judge import Judgement
from continuum.judging.measures import Measures
from continuum.models.asking import Asking, blinded
from continuum.models.budget import Budget
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Checkpoint, FunctionCall, Message, ToolCall
from continuum.splits.checkers import Checker
from continuum.splits.golden_items import GoldenItem
from continuum.store.database import Store, open_store
from continuum.store.retention import erase
from tests.builders import an_interaction, assistant
from tests.guard.conftest import RuledAnswerer, crown
from tests.guard.evaluating import HELPFULNESS, NotingAnswerer, NotingJudge, checkpoint, golden_items

Rule = Callable[[int], Message | str | None]
HELPFUL = Measures(("helpfulness",), (HELPFULNESS,), None)


class Hearing:
    """A judge that remembers what it was shown, in order, and scores by the number an answer begins with."""

    def __init__(self, *, served_by: Sequence[str | None] = (None,), fails_at: Sequence[int] = (), cost_usd: float = 0.0) -> None:
        self.shown: list[tuple[str, Message]] = []
        self.name, self.version = "hearing", "0123456789abcdef"
        self.served_by, self.fails_at, self.cost_usd = served_by, fails_at, cost_usd
        self.capabilities = frozenset({"criteria", "safety", "approval"})

    async def judge(self, conversation, response, criteria, *, budget=None) -> Judgement:
        if budget is not None:
            async with budget.reserve(self.cost_usd) as reservation:
                reservation.settle(self.cost_usd)
        turn = len(self.shown)
        self.shown.append((conversation[-1].text, response))
        if turn in self.fails_at:
            raise JudgeError("the judge is tired")
        score = float(response.text.split()[0])
        served_by = self.served_by[min(turn, len(self.served_by) - 1)]
        return Judgement("ok", {one.name: score for one in criteria}, overall=score, served_by=served_by)


def answering(rule: Rule, model: str = "support-v2") -> RuledAnswerer:
    class Ruled(RuledAnswerer):
        async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
            said = [self.rules[model.name](int(one[-1].text.split()[1])) for one in conversations]  # type: ignore[union-attr]
            return [assistant(one) if isinstance(one, str) else one for one in said]

    return Ruled({model: rule})  # type: ignore[dict-item]


async def arms_of(
    store: Store, judge, candidate: Rule = lambda n: f"{n % 5 + 1} stars", items: list[GoldenItem] | None = None, **options
) -> tuple[Arm, Arm]:
    """Production's arm and candidate v2's, on one criterion, a judgement at a time."""
    settings = {"measures": replace(HELPFUL, judge=judge), "concurrency": 1} | options
    asking = Asking(answering(candidate), store, "support")
    return await both_arms(items or golden_items(40), checkpoint(2), None, asking=asking, **settings)


def with_checker(item: GoldenItem, **checks: str) -> GoldenItem:
    return item.model_copy(update={"checker": Checker.model_validate(checks)})


# --- blinded, in one shuffled order ------------------------------------------------------------------------------


async def test_the_judge_sees_both_answers_of_an_item_side_by_side_in_a_shuffled_order(store: Store) -> None:
    judge = Hearing()

    await arms_of(store, judge, lambda n: f"{n % 5 + 1} stars said I")

    shown = [question for question, _ in judge.shown]
    assert shown[0::2] == shown[1::2]
    assert shown[0::2] != sorted(shown[0::2])
    candidate_first = sum(answer.text.endswith("I") for _, answer in judge.shown[0::2])
    assert 8 <= candidate_first <= 32


async def test_the_seed_decides_the_order_and_no_score(store: Store) -> None:
    judges = [Hearing(), Hearing(), Hearing()]

    first, same, other = [await arms_of(store, judge, seed=seed) for judge, seed in zip(judges, (1, 1, 2), strict=True)]

    assert judges[0].shown == judges[1].shown != judges[2].shown
    assert sorted(judges[0].shown, key=repr) == sorted(judges[2].shown, key=repr)
    assert first == same == other


async def test_nothing_the_judge_sees_tells_whose_answer_it_is(store: Store) -> None:
    call = ToolCall(id="call_support-v2", function=FunctionCall(name="track", arguments="{}"))
    named = Message.model_validate(
        {"role": "model", "content": [{"type": "text", "text": "5 stars"}], "tool_calls": [call], "name": "support-v2"}
    )
    judge = Hearing()

    _, candidate = await arms_of(store, judge, lambda n: named)

    shown = {answer.model_dump_json(exclude_none=True) for _, answer in judge.shown if answer.tool_calls}
    assert shown == {candidate.answers[0].model_dump_json(exclude_none=True)}  # type: ignore[union-attr]
    assert "support-v2" not in str(judge.shown)
    assert blinded(named) == Message(
        role="assistant", content="5 stars", tool_calls=(ToolCall(function=FunctionCall(name="track", arguments="{}")),)
    )


async def test_an_answer_that_both_give_is_judged_once_and_counts_for_both(store: Store) -> None:
    judge = Hearing()

    baseline, candidate = await arms_of(store, judge, lambda n: f"{n % 5 + 1} stars said production" if n < 30 else "1 star")

    assert len(judge.shown) == 30 + 2 * 10
    assert baseline.scores["helpfulness"][:30] == candidate.scores["helpfulness"][:30]
    assert candidate.scores["helpfulness"][30:] == [0.0] * 10


async def test_a_judge_that_becomes_another_on_the_way_is_an_error(store: Store) -> None:
    class Changing(Hearing):
        async def judge(self, conversation, response, criteria, *, budget=None) -> Judgement:
            self.version = "another"
            return await super().judge(conversation, response, criteria)

    with pytest.raises(JudgeError, match="was version 0123456789abcdef when it began and is another now"):
        await arms_of(store, Changing())


async def test_judgements_of_two_models_behind_one_name_are_told_where_they_fall_on_two_sides(store: Store) -> None:
    notes: list[str] = []
    old = Hearing(served_by=["stars-2026-01"])
    answerer = answering(lambda n: "4 stars")
    answerer.rules["support-v3"] = lambda n: "3 stars"
    asking = Asking(answerer, store, "support")
    crown(store, checkpoint(2))
    kept = replace(HELPFUL, judge=old).kept_in(store)
    await both_arms(golden_items(20), checkpoint(2), None, measures=kept, asking=asking, on_note=notes.append)
    assert notes == []

    old.served_by = ["stars-2026-06"]
    await both_arms(golden_items(20), checkpoint(3), checkpoint(2), measures=kept, asking=asking, on_note=notes.append)

    (note,) = notes
    assert "(stars-2026-01 and stars-2026-06): part of the difference may be theirs" in note


async def test_servers_that_take_turns_are_no_news(store: Store) -> None:
    notes: list[str] = []

    await arms_of(store, Hearing(served_by=["a", "b", "b", "a"] * 40), on_note=notes.append)

    assert notes == []


# --- who fails ---------------------------------------------------------------------------------------------------


async def test_a_candidate_that_fails_scores_nothing_and_a_judge_that_fails_drops_the_item_from_both(store: Store) -> None:
    judge = Hearing(fails_at=[4, 9])

    baseline, candidate = await arms_of(store, judge, lambda n: None if n % 2 else "5 stars")

    dropped = [n for n in range(40) if candidate.scores["helpfulness"][n] is None]
    failed = {judge.shown[turn][0] for turn in (4, 9)}
    assert {f"question {n}" for n in dropped} == failed
    assert [n for n in range(40) if baseline.scores["helpfulness"][n] is None] == dropped
    assert all(candidate.scores["helpfulness"][n] == 0 for n in range(1, 40, 2) if n not in dropped)


async def test_money_that_runs_out_favours_no_side(store: Store) -> None:
    judge = Hearing(cost_usd=0.01)

    baseline, candidate = await arms_of(store, judge, concurrency=8, budget=Budget(0.335))

    scored = [[n for n in range(40) if arm.scores["helpfulness"][n] is not None] for arm in (baseline, candidate)]
    assert len(judge.shown) == 33
    assert scored[0] == scored[1]
    assert 13 <= len(scored[0]) <= 16
    assert scored[0] != list(range(len(scored[0])))


async def test_who_goes_on_with_new_money_pays_for_the_rest_alone(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="hearing", budget_usd=1.0)))
    judge = Hearing(cost_usd=0.01)
    kept = replace(HELPFUL, judge=judge).kept_in(store)
    undisturbed = await arms_of(store, Hearing())

    await arms_of(store, judge, measures=kept, budget=Budget(0.3))
    arms = await arms_of(store, judge, measures=kept, budget=Budget(10.0))

    assert max(Counter(repr(one) for one in judge.shown).values()) == 1
    assert len(judge.shown) == 80
    assert arms == undisturbed


async def test_an_item_that_is_erased_meanwhile_leaves_nothing_on_either_side(store: Store) -> None:
    store.interactions.add([an_interaction(f"question {n}", id=f"golden-{n:04d}") for n in range(40)])

    class Erasing(Hearing):
        async def judge(self, conversation, response, criteria, *, budget=None) -> Judgement:
            if len(self.shown) == 10:
                erase(store, ["golden-0007"])
            return await super().judge(conversation, response, criteria)

    def candidate(n: int) -> str:
        erase(store, ["golden-0003"])
        return "5 stars"

    judge = Erasing()
    baseline, new = await arms_of(store, judge, candidate)

    for arm in (baseline, new):
        assert [n for n in range(40) if arm.scores["helpfulness"][n] is None] == [3, 7]
        assert arm.answers[3] is arm.answers[7] is None
    assert "question 3" not in {question for question, _ in judge.shown}
    assert store.golden_answers.count("support") == 38


# --- what is measured --------------------------------------------------------------------------------------------


async def test_items_with_a_check_of_their_own_are_measured_by_it(store: Store) -> None:
    items = [with_checker(item, contains="stars") if n < 4 else item for n, item in enumerate(golden_items(8))]
    answers: list[Message | str | None] = ["5 stars", "1 of many", None, " ", "5 stars"]

    baseline, candidate = await arms_of(store, Hearing(), lambda n: answers[min(n, 4)], items)

    assert baseline.scores[CHECKS] == [1, 1, 1, 1, None, None, None, None]
    assert candidate.scores[CHECKS] == [1, 0, 0, 0, None, None, None, None]


async def test_a_tool_call_is_checked_by_what_it_does(store: Store) -> None:
    call = Message(role="assistant", tool_calls=(ToolCall(function=FunctionCall(name="track", arguments='{"b": 1, "a": 2}')),))
    items = [with_checker(item, contains='track({"a":2,"b":1})') for item in golden_items(2)]

    _, candidate = await arms_of(store, None, lambda n: call, items, measures=Measures(("action_match",), (), None))

    assert candidate.scores[CHECKS] == [1, 1]


async def test_without_a_judge_answers_are_matched_and_nothing_more(store: Store) -> None:
    items = [item.model_copy(update={"reference": assistant("5 stars")}) for item in golden_items(3)]

    baseline, candidate = await arms_of(store, None, lambda n: "5  stars", items, measures=Measures(("action_match",), (), None))

    assert candidate.scores == {"action_match": [1, 1, 1]}
    assert baseline.scores == {"action_match": [0, 0, 0]}


async def test_progress_grows_to_the_end(store: Store) -> None:
    seen = []

    await arms_of(store, Hearing(), on_progress=lambda *step: seen.append(step))

    assert seen[0] == (0, 120, "support-v2 answers")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (120, 120, "hearing judges")


# --- broken off --------------------------------------------------------------------------------------------------


def started(url: str, folder: Path, size: int = 96, pause_s: float = 0.0) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.guard.evaluating", url, str(folder), str(size), str(pause_s)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


@pytest.mark.slow
async def test_an_evaluation_that_is_killed_goes_on_where_it_was(store: Store, empty_database: Path, tmp_path: Path) -> None:
    url, folder = str(store.engine.url), tmp_path / "killed"
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "continuum.db").write_bytes(empty_database.read_bytes())
    alone = started(f"sqlite:///{undisturbed / 'continuum.db'}", undisturbed)
    asked, judged = NotingAnswerer(folder / "asked.log"), NotingJudge(folder / "judged.log")

    def questions_kept() -> int:
        return store.golden_answers.count("support")

    # Twice while the models answer, once while the judge judges.
    for kept, target, pause_s in ((questions_kept, 32, 0.2), (questions_kept, 96, 0.2), (store.judgements.count, 40, 0.8)):
        process = started(url, folder, pause_s=pause_s)
        while kept() < target:
            assert process.poll() is None, "the evaluation ended before it could be killed"
            await asyncio.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        answers, judgements = questions_kept(), store.judgements.count()
        asked_before, judged_before = len(asked.noted()), len(judged.noted())
    # What the killed ones were asked and could not keep: a chunk of sixteen each at most, and the judge's eight at once.
    assert asked_before - answers <= 2 * 16
    assert judged_before - judgements <= 8

    last = started(url, folder)
    assert last.wait() == alone.wait() == 0

    assert len(asked.noted()) - asked_before == 2 * 96 - answers
    everything = len(NotingJudge(undisturbed / "judged.log").noted())
    assert len(judged.noted()) - judged_before == everything - judgements
    assert json.loads((folder / "arms.json").read_text()) == json.loads((undisturbed / "arms.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_processes_that_evaluate_the_same_candidate_pay_once_and_agree(
    database: str, store: Store, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = str(store.engine.url) if database == "sqlite" else request.getfixturevalue("postgres_url")
    if database == "postgres":
        open_store(url).close()
    folders = [tmp_path / "one", tmp_path / "other"]

    processes = [started(url, folder, pause_s=0.05) for folder in folders]
    assert [process.wait() for process in processes] == [0, 0]

    found = [json.loads((folder / "arms.json").read_text()) for folder in folders]
    judged = Counter(line for folder in folders for line in NotingJudge(folder / "judged.log").noted())
    assert found[0] == found[1]
    assert max(judged.values()) == 1
