import dataclasses

import numpy as np
import pytest

from continuum.analytics.arms import Contender
from continuum.analytics.curve import LearningCurve
from continuum.analytics.fresh import promoted, retold
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.analytics.wheel import TASK, Starred, begin, judged, live, star_judge, train, turned


async def curve_of(store: Store) -> LearningCurve:
    return await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())


async def test_a_promoted_gain_is_told_again_on_questions_that_its_verdict_never_saw(store: Store) -> None:
    await turned(store, 2)
    first = GoldenDataset.load(f"{TASK}_golden_v1", store=store)
    newest = GoldenDataset.latest(TASK, store=store)

    told = {(one.model, one.metric): one for one in (await curve_of(store)).retold}

    assert newest is not None
    assert set(told) == {("v1", "helpfulness"), ("v1", "accuracy"), ("v2", "helpfulness"), ("v2", "accuracy")}
    second = told["v2", "helpfulness"]
    verdict = store.verdicts.latest("c2")
    assert verdict is not None
    assert second.baseline == "v1"
    assert second.claimed.mean == verdict.deltas["helpfulness"]
    assert second.fresh is not None
    assert second.fresh.items == len(newest) - len(first)
    assert second.shrinkage == pytest.approx(second.claimed.mean - second.fresh.mean)
    assert told["v1", "helpfulness"].baseline == "production"


async def test_without_fresh_questions_the_claim_is_corrected_for_the_rule_that_let_it_through(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    verdict = await judged(store, model)
    live(store, model, verdict)

    told = (await curve_of(store)).retold

    assert all(one.fresh is None for one in told)
    assert all("0 independent groups of golden items are new since its verdict, 10 are needed" in one.why for one in told)
    for one in told:
        assert one.corrected is not None
        assert one.corrected.limit < one.claimed.mean
        assert one.corrected.mean <= one.claimed.mean
        assert one.shrinkage is not None
        assert one.shrinkage >= 0


async def test_who_was_taken_as_the_best_of_several_is_corrected_for_that_too_and_it_is_said(store: Store) -> None:
    begin(store)
    passed_over, model = train(store, 1), train(store, 2)
    await judged(store, passed_over)
    verdict = await judged(store, model)
    deployment = live(store, model.model_copy(update={"created_at": utc_now()}), verdict)

    told = [one for one in (await curve_of(store)).retold if one.corrected is not None]

    assert deployment.created_at >= verdict.created_at
    assert {one.model for one in told} == {"v2"}
    for one in told:
        assert one.chosen_from == ("v1",)
        assert "for being the best of 2, beside v1" in one.why
        alone = store.verdicts.latest("c1")
        assert alone is not None
        assert alone.deltas[one.metric] < one.claimed.mean
        assert one.corrected is not None
        assert one.corrected.mean <= one.claimed.mean


async def test_a_version_that_was_judged_later_is_no_rival(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    live(store, model.model_copy(update={"created_at": utc_now()}), await judged(store, model))
    later = train(store, 2)
    await judged(store, later)

    assert all(one.chosen_from == () for one in (await curve_of(store)).retold)


async def test_a_version_that_was_never_promoted_makes_no_claim(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    await judged(store, model)

    curve = await curve_of(store)

    assert curve.retold == ()
    assert promoted(store, TASK, [Contender("v1", model)]) == []
    assert not any("promoted" in note for note in curve.notes)


async def test_a_baseline_that_is_not_compared_is_named(store: Store) -> None:
    await turned(store, 2)

    curve = await LearningCurve.compute(TASK, ["base", "v2"], store=store, judge=star_judge(), answerer=Starred())

    assert all("c1, which it was measured against, is not among the models compared" in one.why for one in curve.retold)


async def test_a_fresh_question_of_an_old_group_is_not_fresh(store: Store) -> None:
    await turned(store, 1)
    newest = GoldenDataset.latest(TASK, store=store)
    verdict = store.verdicts.latest("c1")
    assert newest is not None
    assert verdict is not None
    old = verdict.evidence["items"][0]["group"]
    # Whatever is asked is now of one group with a question that the verdict was given on.
    items = [item.model_copy(update={"group": old}) for item in newest]
    model = store.checkpoints.of(TASK)[0]
    scores = {name: {"helpfulness": [0.5] * len(items)} for name in ("v1", "production")}

    (told,) = retold(store, TASK, [Contender("production"), Contender("v1", model)], items, scores)

    assert told.fresh is None
    assert told.why.startswith("0 independent groups")


async def test_over_many_candidates_the_claims_of_those_promoted_are_too_large_and_their_fresh_gains_are_not(
    store: Store,
) -> None:
    await turned(store, 1)
    newest = GoldenDataset.latest(TASK, store=store)
    verdict = store.verdicts.latest("c1")
    model = store.checkpoints.of(TASK)[0]
    assert newest is not None
    assert verdict is not None
    seen = {row["id"] for row in verdict.evidence["items"]}
    items, rng = list(newest), np.random.default_rng(11)
    is_old = np.array([item.interaction_id in seen for item in items])
    claims, fresh = [], []
    # No candidate is better than what serves; the third that look best on the old questions are promoted.
    for _ in range(60):
        drawn = np.clip(0.5 + rng.normal(0, 0.25, len(items)), 0, 1)
        scores = {"production": {"helpfulness": [0.5] * len(items)}, "v1": {"helpfulness": drawn.tolist()}}
        claim = float(drawn[is_old].mean() - 0.5)
        if claim < 0.012:
            continue
        (told,) = retold(store, TASK, [Contender("production"), Contender("v1", model)], items, scores)
        told = dataclasses.replace(told, claimed=dataclasses.replace(told.claimed, mean=claim))
        assert told.fresh is not None
        claims.append(told.claimed.mean)
        fresh.append(told.fresh.mean)

    assert len(claims) >= 8
    assert np.mean(claims) > 0.015
    # Three standard errors of the mean of the fresh gains.
    assert abs(np.mean(fresh)) < 3 * 0.25 / np.sqrt((~is_old).sum() * len(fresh))
