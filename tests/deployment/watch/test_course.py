"""The course of a trial: the comparison as conversations came in, and the split of the traffic."""

from typing import Any

import pytest

from continuum.deployment.watch.course import MOST_POINTS, Course, course_of
from continuum.records import Interaction
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON
from tests.deployment.live import GOOD, HOUR, LATER, a_deployment, a_policy, both, mixed, seen


async def looked_at(store: Store, record: DeploymentRecord, traffic: list[Interaction]) -> dict[str, Any]:
    """The evidence of a look, written down as a hold is."""
    found = await seen(store, record, traffic)
    current = store.deployments.get(record.id)
    assert current is not None
    event = DeploymentEvent(
        deployment_id=record.id,
        at=LATER,
        actor="test",
        action="hold",
        from_traffic=current.traffic,
        to_traffic=current.traffic,
        evidence=dict(found.evidence),
    )
    assert store.deployments.change(current, event) is not None
    return dict(found.evidence)


async def test_the_last_point_is_what_the_watch_found(store: Store) -> None:
    record = a_deployment(store)
    evidence = await looked_at(store, record, both(record, mixed(120, 0.1), mixed(120, 0.05)))

    course = course_of(store, record, a_policy())

    found, last = evidence["quality"]["difference"], course.points[-1].difference
    assert (last.candidate, last.stable) == (found["candidate"], found["stable"]) == (120, 120)
    assert (last.delta, last.lower, last.upper) == pytest.approx((found["delta"], found["lower"], found["upper"]))
    assert len(course.points) <= MOST_POINTS
    assert [point.conversations for point in course.points] == sorted({point.conversations for point in course.points})


async def test_the_bounds_hold_the_difference_and_close_in_on_it(store: Store) -> None:
    record = a_deployment(store)
    await looked_at(store, record, both(record, mixed(150, 0.3), mixed(150, 0.1)))

    points = course_of(store, record, a_policy()).points

    assert all(point.difference.lower <= point.difference.delta <= point.difference.upper for point in points)
    widths = [point.difference.upper - point.difference.lower for point in points]
    assert widths[-1] < widths[len(widths) // 2]


async def test_each_step_of_the_ramp_tells_what_was_meant_and_what_came(store: Store) -> None:
    record = a_deployment(store, shares=(0.25, 0.5))
    store.interactions.add(both(record, [GOOD] * 30, [GOOD] * 90) + both(record, [GOOD] * 20, [GOOD] * 20, at=NOON + HOUR))

    splits = course_of(store, record, a_policy()).splits

    assert [(split.share, split.candidate, split.stable) for split in splits] == [(0.0, 0, 0), (0.25, 30, 90), (0.5, 20, 20)]
    assert [split.served for split in splits] == [None, 0.25, 0.5]


async def test_a_trial_that_is_over_keeps_its_course(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0))
    await looked_at(store, record, both(record, mixed(60, 0.1), mixed(60, 0.1)))
    during = course_of(store, record, a_policy())
    live = store.deployments.get(record.id)
    assert live is not None
    event = DeploymentEvent(deployment_id=record.id, at=LATER, actor="test", action="live", from_traffic=1.0, to_traffic=1.0)
    champion = store.deployments.change(live, event, state=DeploymentState.LIVE)
    assert champion is not None

    assert course_of(store, champion, a_policy()).points == during.points != ()


async def test_without_a_judged_answer_there_is_no_point(store: Store) -> None:
    record = a_deployment(store)
    store.interactions.add(both(record, [GOOD] * 5, [GOOD] * 5))
    found = course_of(store, record, a_policy())
    assert found.points == ()
    assert [split.candidate for split in found.splits][-1] == 5
    assert Course() == Course((), ())
