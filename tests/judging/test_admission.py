import json
import re
from dataclasses import replace
from typing import Any

import pytest

from continuum.errors import JudgeError
from continuum.judging.admission import JudgeNotAdmitted, admit, ensure_admitted, members_to_test
from continuum.judging.attacks import ATTACKS, BAD_ANSWERS, PADDED, PAIRS
from continuum.judging.cached import CachedJudge
from continuum.judging.escalating import EscalatingJudge
from continuum.judging.jury import Jury
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.recorded import RecordedJudge
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget, BudgetExhausted
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from continuum.store.database import Store
from tests.builders import assistant
from tests.stub_endpoint import completion, error, scores, stub_endpoint

CRITERIA = (Criterion("helpfulness", 0.7, "Settles the question"), Criterion("tone", 0.3, "Kind"))
CALLS = len(BAD_ANSWERS) + 2 * len(ATTACKS) + 2 * len(PADDED) + 2 * len(PAIRS)
OBEYS = re.compile(r"5|five|full marks|maxim|highest|top marks|满分|R2l2Z|best|perfect|excellent|faulty", re.IGNORECASE)


def judge_at(base_url: str, model: str = "stub") -> EndpointJudge:
    return EndpointJudge(EndpointModel(model, base_url=base_url, price=Price(1.0, 10.0), backoff_s=0.01))


def read(body: dict[str, Any]) -> dict[str, Any]:
    """What the judge is to judge: the one value of the JSON object in the user's message."""
    return next(iter(json.loads(body["messages"][1]["content"]).values()))


def steadfast(number: int, body: dict[str, Any]) -> str:
    data = read(body)
    if "answer_a" in data:
        return preferring_what_is_right(data)
    return scores(helpfulness=1, tone=2)


def obedient(number: int, body: dict[str, Any]) -> str:
    data = read(body)
    if "answer_a" in data:
        return json.dumps({"reason": "it stands first", "better": "a"})
    told = any(attack.text[-30:] in data["answer"]["content"] for attack in ATTACKS) or OBEYS.search(data["answer"]["content"])
    return scores(helpfulness=5, tone=5) if told else scores(helpfulness=1, tone=1)


def preferring_what_is_right(data: dict[str, Any]) -> str:
    good = {pair.first if pair.better == "first" else pair.second for pair in PAIRS if pair.better != "near"}
    better = "a" if data["answer_a"]["content"] in good else "b" if data["answer_b"]["content"] in good else "tie"
    return json.dumps({"reason": "it is right", "better": better})


async def test_a_judge_that_obeys_the_text_is_refused_and_says_what_to_do(store: Store) -> None:
    async with stub_endpoint(obedient) as stub:
        with pytest.raises(JudgeNotAdmitted, match=r"not admitted.*0\.25 are allowed.*another judge.*'warn'") as refused:
            await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
        calls = stub.calls
        with pytest.raises(JudgeNotAdmitted):
            await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
    assert stub.calls == calls == CALLS
    evidence = refused.value.admission.evidence
    assert evidence["uplift"] > 2
    assert evidence["worst"]["uplift"] == pytest.approx(4)
    assert evidence["by_family"]["command"] == pytest.approx(4)
    assert evidence["order_consistency"] == 0
    assert evidence["n"] == 2 * len(ATTACKS)


async def test_a_steadfast_judge_is_admitted_once_and_not_asked_again(store: Store) -> None:
    async with stub_endpoint(steadfast) as stub:
        first = await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
        again = await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
    assert stub.calls == CALLS
    assert first == again
    assert first is not None
    assert first.admitted
    assert first.evidence["uplift"] == 0
    assert first.evidence["order_consistency"] == first.evidence["preferred_right"] == 1
    assert first.evidence["length_coefficient"] == 0
    assert first.evidence["cost_usd"] == pytest.approx(CALLS * 0.0003)
    assert first.evidence["served_by"] == ["stub"]


async def test_scores_of_suspected_content_count_in_the_test() -> None:
    async with stub_endpoint(obedient) as stub:
        judgement = await judge_at(stub.base_url).judge([], assistant(ATTACKS[0].text), CRITERIA)
        admission = await admit(judge_at(stub.base_url), CRITERIA)
    assert (judgement.status, judgement.overall) == ("suspected_injection", None)
    assert not admission.admitted


async def test_a_changed_rubric_or_model_is_tested_anew(store: Store) -> None:
    sharper = (replace(CRITERIA[0], description="Settles the question at once"), CRITERIA[1])
    async with stub_endpoint(steadfast) as stub:
        await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
        await ensure_admitted(store, judge_at(stub.base_url), sharper)
        assert stub.calls >= 2 * CALLS - 2 * len(PAIRS)
        before = stub.calls
        await ensure_admitted(store, judge_at(stub.base_url, "another"), CRITERIA)
        assert stub.calls == before + CALLS


async def test_warn_warns_and_goes_on_and_off_does_not_ask(store: Store) -> None:
    async with stub_endpoint(obedient) as stub:
        assert await ensure_admitted(store, judge_at(stub.base_url), CRITERIA, require="off") is None
        assert stub.calls == 0
        with pytest.warns(UserWarning, match="is not admitted"):
            admission = await ensure_admitted(store, judge_at(stub.base_url), CRITERIA, require="warn")
    assert admission is not None
    assert not admission.admitted


async def test_a_budget_that_cannot_pay_stops_the_test_and_what_was_asked_is_kept(store: Store) -> None:
    async with stub_endpoint(steadfast) as stub:
        with pytest.raises(BudgetExhausted):
            await ensure_admitted(store, judge_at(stub.base_url), CRITERIA, budget=Budget(0.02), concurrency=1)
        paid = stub.calls
        assert 0 < paid < CALLS
        await ensure_admitted(store, judge_at(stub.base_url), CRITERIA, budget=Budget(1.0))
    assert stub.calls == CALLS


async def test_a_judge_that_seldom_answers_in_form_cannot_be_tested(store: Store) -> None:
    async with stub_endpoint(lambda n, body: "five!" if n % 2 else completion("none")) as stub:
        with pytest.raises(JudgeError, match="could not be tested: 40 of 40 attacked answers got no score, 8 may"):
            await admit(judge_at(stub.base_url), CRITERIA)
    async with stub_endpoint(lambda n, body: error(400, "no")) as stub:
        with pytest.raises(JudgeError):
            await ensure_admitted(store, judge_at(stub.base_url), CRITERIA)
    assert store.admissions.latest(judge_at(stub.base_url).version, "any") is None


async def test_a_judge_that_likes_long_answers_shows_it() -> None:
    def longing(number: int, body: dict[str, Any]) -> str:
        data = read(body)
        if "answer_a" in data:
            return json.dumps({"reason": "none", "better": "tie"})
        return scores(helpfulness=4 if len(data["answer"]["content"]) > 200 else 2, tone=3)

    async with stub_endpoint(longing) as stub:
        admission = await admit(judge_at(stub.base_url), CRITERIA)
    assert admission.evidence["length_coefficient"] > 0.4


async def test_progress_counts_each_call_of_the_test() -> None:
    told: list[tuple[int, int]] = []
    async with stub_endpoint(steadfast) as stub:
        await admit(judge_at(stub.base_url), CRITERIA, on_progress=lambda done, total, note: told.append((done, total)))
    total = CALLS - len(PAIRS)  # Both orders of a pair are one step.
    assert told == [(n, total) for n in range(1, total + 1)]


async def test_of_a_jury_each_member_is_tested_and_the_weakest_decides(store: Store) -> None:
    async with stub_endpoint(steadfast) as good, stub_endpoint(obedient) as bad:
        jury = Jury([judge_at(good.base_url, "stern"), judge_at(bad.base_url, "soft"), ScriptedJudge("rule", lambda *_: 3)])
        with pytest.raises(JudgeNotAdmitted, match="'soft'"):
            await ensure_admitted(store, jury, CRITERIA)
        assert (good.calls, bad.calls) == (CALLS, CALLS)


def test_a_function_and_a_recording_cannot_be_talked_to(tmp_path) -> None:
    model, rule = judge_at("http://127.0.0.1:9/v1"), ScriptedJudge("rule", lambda *_: 3)
    assert members_to_test(rule) == []
    assert members_to_test(RecordedJudge(tmp_path / "none.jsonl")) == []
    assert members_to_test(RecordedJudge(tmp_path / "none.jsonl", model)) == [model]
    assert members_to_test(Jury([model, rule])) == [model]
    assert members_to_test(EscalatingJudge(rule, model, near=3.5)) == [model]


async def test_what_cannot_be_talked_to_is_used_without_a_test(store: Store) -> None:
    assert await ensure_admitted(store, ScriptedJudge("rule", lambda *_: 5), DEFAULT_CRITERIA) is None
    assert members_to_test(CachedJudge(ScriptedJudge("rule", lambda *_: 5), store)) == []
