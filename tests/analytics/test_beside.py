from typing import Any

import pytest

from continuum.analytics.arms import FORGETTING, HUMAN, LATENCY, Contender
from continuum.analytics.beside import Reading, together
from continuum.analytics.curve import LearningCurve
from continuum.analytics.forgotten import forgetting_readings
from continuum.analytics.people import AGREES, SCORES
from continuum.analytics.served import calls_of
from continuum.analytics.telling import sections
from continuum.models.asking import blinded, said_hash
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store
from continuum.store.golden_answers import AnswerLabel
from tests.analytics.wheel import NOON, TASK, Starred, begin, captured, judged, live, praised, served, star_judge, train


async def curve_of(store: Store, *metrics: str) -> LearningCurve:
    return await LearningCurve.compute(TASK, None, metrics or None, store=store, judge=star_judge(), answerer=Starred())


def named(curve: LearningCurve, name: str) -> dict[str, Reading]:
    return {one.model: one for one in curve.readings if one.name == name}


async def deployed(store: Store, count: int = 120, **fields: Any) -> Checkpoint:
    begin(store)
    model = train(store, 1)
    served(store, live(store, model, await judged(store, model)), count, **fields)
    return model


async def test_latencies_are_those_of_live_calls_and_compared_unpaired_with_productions(store: Store) -> None:
    await deployed(store, latency_ms=300.0)

    curve = await curve_of(store, LATENCY)

    middle, tail = named(curve, "latency_ms p50"), named(curve, "latency_ms p95")
    assert middle["v1"].value is not None
    assert middle["v1"].value.mean == 300.0
    assert middle["v1"].on == "120 live calls in 120 conversations"
    gain = middle["v1"].gain
    assert gain is not None
    assert (middle["v1"].against, gain.paired, gain.word) == ("production", False, "better")
    assert tail["production"].value is not None
    assert tail["production"].value.mean > middle["production"].value.mean  # type: ignore[union-attr]
    assert middle["base"].word == "no data"
    assert middle["base"].on == "no live traffic goes to it"


async def test_few_calls_have_a_middle_and_no_tail(store: Store) -> None:
    await deployed(store, count=30)

    curve = await curve_of(store, LATENCY)

    assert named(curve, "latency_ms p50")["v1"].value is not None
    tail = named(curve, "latency_ms p95")["v1"]
    assert tail.value is None
    assert "30 conversations are too few, 100 are needed" in tail.on


async def test_calls_that_fell_back_failed_or_were_sent_by_name_tell_nothing_of_a_model(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    deployment = live(store, model, None)
    its = {"model": deployment.model, "deployment_id": deployment.id, "variant": "canary"}
    captured(store, 3, 20_000, **its)
    captured(store, 1, 20_100, **its, status="error")
    captured(store, 1, 20_200, **its, tags={"fell_back_from": "support-v9"})
    captured(store, 1, 20_300, **its, tags={"arm_named": "canary"})

    calls = calls_of(store, TASK, [Contender("production"), Contender("v1", model)], [])

    assert len(calls["v1"].ids) == 3
    assert len(calls["production"].ids) == 400


async def test_a_champion_is_measured_on_what_a_later_canary_leaves_to_it_too(store: Store) -> None:
    begin(store)
    champion, newer = train(store, 1), train(store, 2)
    live(store, champion, None)
    canary = live(store, newer, None)
    captured(store, 5, 20_000, model=champion.name, deployment_id=canary.id, variant="stable")
    captured(store, 2, 20_100, model=newer.name, deployment_id=canary.id, variant="canary")

    calls = calls_of(store, TASK, [Contender("v1", champion), Contender("v2", newer)], [])

    assert (len(calls["v1"].ids), len(calls["v2"].ids)) == (5, 2)


async def test_what_a_live_call_cost_stands_in_place_of_nothing(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    deployment = live(store, model, None)
    captured(store, 20, 20_000, model=deployment.model, deployment_id=deployment.id, variant="canary", cost_usd=0.002)

    curve = await curve_of(store, "cost_per_query")

    (point,) = (one for one in curve.points if one.model == "v1")
    assert point.cost_usd == pytest.approx(0.002)
    reading = named(curve, "cost_per_query")["v1"]
    assert reading.gain is not None
    assert (reading.gain.word, reading.against) == ("better", "production")
    assert reading.gain.mean == pytest.approx(-0.028)


async def test_people_and_the_judge_agree_as_often_as_they_do(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    deployment = live(store, model, None)
    rows = served(store, deployment, 40)
    good = [row for row in rows if row.response is not None and row.response.text[0] in "45"]
    bad = [row for row in rows if row not in good]
    # People like all that the judge likes, and half of what it does not.
    praised(store, good, 5.0)
    praised(store, bad[: len(bad) // 2], 5.0)
    praised(store, bad[len(bad) // 2 :], 1.0)

    curve = await curve_of(store, HUMAN)

    agreement = named(curve, AGREES)["v1"]
    assert agreement.value is not None
    assert agreement.value.mean == pytest.approx(1 - (len(bad) // 2) / 40)
    assert agreement.on == "40 answers in traffic that people scored"
    assert named(curve, SCORES)["v1"].value is not None
    assert "people and the judge spoke of 0 of its answers, 10 are needed" in named(curve, AGREES)["base"].on


async def test_answers_to_golden_items_that_people_scored_are_compared_pair_by_pair(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    golden = GoldenDataset.latest(TASK, store=store)
    assert golden is not None
    answerer, items = Starred(), list(golden)[:20]
    for asked, score in ((model, 0.75), (None, 0.25)):
        answers = await answerer.answer(asked, [item.messages for item in items])
        store.golden_labels.put(
            AnswerLabel(said_hash([*item.messages, said]), "helpfulness", "ana", TASK, item.interaction_id, score, NOON)
            for item, answer in zip(items, answers, strict=True)
            if (said := blinded(answer)) is not None
        )

    curve = await curve_of(store, "helpfulness", HUMAN)

    found = named(curve, SCORES)["v1"]
    assert found.gain is not None
    assert found.gain.paired
    assert found.against == "base"
    assert "without knowing whose" in found.on
    assert found.gain.mean > 0


def forgot(store: Store, **losses: Any) -> Verdict:
    """A verdict on v1 that measured these losses."""
    verdict = Verdict(
        task=TASK,
        checkpoint_id="c1",
        baseline="production",
        golden_id="g",
        status=VerdictStatus.APPROVED,
        approved=True,
        evidence={"baseline": {"model": "production"}, "capability": {"losses": losses, "notes": []}},
    )
    store.verdicts.add(verdict)
    return verdict


LOSS = {"candidate": 2.3, "baseline": 2.1, "base": 2.1, "change": 0.2, "low": 0.1, "high": 0.3, "documents": 4, "groups": 4}


def test_what_a_verdict_says_of_forgetting_is_read_and_not_measured_again(store: Store) -> None:
    model = Checkpoint(id="c1", task=TASK, version=1, base_model="tiny", uri="nowhere", dataset_id="d")
    nats = {"candidate": [2.2, 2.4, 2.2, 2.4], "baseline": [2.1] * 4, "base": [2.1] * 4}
    forgot(store, **{"general text": LOSS | {"nats": nats}})

    (found,) = forgetting_readings(store, [Contender("base"), Contender("v1", model)])

    assert found.metric == FORGETTING
    assert found.gain is not None
    assert (found.gain.mean, found.gain.low, found.gain.high) == (0.2, 0.1, 0.3)
    # More nats are worse. Production shows no probabilities: the verdict measured from the base.
    assert (found.word, found.against) == ("worse", "base")
    assert found.value is not None
    assert found.value.mean == pytest.approx(2.3)
    assert found.value.low is not None


async def test_what_a_version_forgot_is_told_against_the_champion_and_against_the_base(store: Store) -> None:
    begin(store)
    train(store, 1)
    second = train(store, 2)
    nats = {"candidate": [2.2, 2.4, 2.2, 2.4], "baseline": [2.1] * 4, "base": [2.0] * 4}
    evidence = {"baseline": {"model": "v1"}, "capability": {"losses": {"general text": LOSS | {"nats": nats}}, "notes": []}}
    verdict = Verdict(
        task=TASK,
        checkpoint_id=second.id,
        baseline="c1",
        golden_id="g",
        status=VerdictStatus.APPROVED,
        approved=True,
        evidence=evidence,
    )
    store.verdicts.add(verdict)

    curve = await curve_of(store, FORGETTING)

    beside = next(one for one in sections(curve) if one.key == "beside")
    told = [[cell.text for cell in row] for row in beside.rows if row[0].text.startswith("general text")]
    assert [(row[1], row[3].split()[0], row[4]) for row in told] == [("v2", "+0.200", "v1"), ("v2", "+0.300", "base")]


def test_a_later_version_is_told_beside_its_parent_and_beside_the_base_in_a_line_each(store: Store) -> None:
    first = Checkpoint(id="c1", task=TASK, version=1, base_model="tiny", uri="nowhere", dataset_id="d")
    second = first.model_copy(update={"id": "c2", "version": 2, "parent_id": "c1"})
    nats = {"candidate": [2.2, 2.4, 2.2, 2.4], "baseline": [2.1] * 4, "base": [2.5] * 4}
    evidence = {"baseline": {"model": first.name}, "capability": {"losses": {"general text": LOSS | {"nats": nats}}}}
    verdict = forgot(store).model_copy(update={"id": "w", "checkpoint_id": "c2", "baseline": "c1", "evidence": evidence})
    store.verdicts.add(verdict)

    found = forgetting_readings(store, [Contender("v1", first), Contender("v2", second)])
    lines = [some for some in together(found) if some[0].model == "v2"]

    # The parent is called as it is in the other tables.
    assert [(one.model, one.against, one.word) for some in lines for one in some] == [
        ("v2", "v1", "worse"),
        ("v2", "base", "better"),
    ]
    assert [len(some) for some in lines] == [1, 1]


def test_a_broken_model_and_one_without_a_verdict_say_so_and_pass_nothing(store: Store) -> None:
    model = Checkpoint(id="c1", task=TASK, version=1, base_model="tiny", uri="nowhere", dataset_id="d")
    (unjudged,) = forgetting_readings(store, [Contender("v1", model)])
    forgot(store, **{"general text": LOSS | {"candidate": None, "change": None, "low": None, "high": None}})
    (broken,) = forgetting_readings(store, [Contender("v1", model)])

    assert (unjudged.word, broken.word) == ("no data", "no data")
    assert "no verdict was given on it" in unjudged.on
    assert "the model is broken" in broken.on
