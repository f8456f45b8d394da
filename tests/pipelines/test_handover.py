"""What one asset tells the next, also across a run that was killed and is repeated."""

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Run

from continuum.ids import new_id
from continuum_pipelines.claims import HOLDER, is_over
from continuum_pipelines.handover import is_of_one_turn


def a_run(instance: dg.DagsterInstance, root: dg.DagsterRun | None = None, parent: dg.DagsterRun | None = None) -> dg.DagsterRun:
    ids = {"root_run_id": root and root.run_id, "parent_run_id": (parent or root) and (parent or root).run_id}
    tags = {f"dagster/{name}": id_ for name, id_ in ids.items() if id_}
    return instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), tags=tags, **ids))


def test_a_retry_takes_up_what_the_killed_run_and_the_retries_before_it_left(instance: dg.DagsterInstance) -> None:
    killed = a_run(instance)
    first = a_run(instance, root=killed)
    second = a_run(instance, root=killed, parent=first)
    assert all(is_of_one_turn(instance, second, run.run_id) for run in (killed, first, second))
    assert is_of_one_turn(instance, first, killed.run_id)


def test_another_turn_of_the_task_is_another_turn(instance: dg.DagsterInstance) -> None:
    earlier, killed = a_run(instance), a_run(instance)
    retry = a_run(instance, root=killed)
    assert not is_of_one_turn(instance, killed, earlier.run_id)
    assert not is_of_one_turn(instance, retry, earlier.run_id)
    assert not is_of_one_turn(instance, retry, new_id())


@pytest.mark.parametrize(
    ("status", "tags", "over"),
    [
        (Run.STARTED, {}, False),
        (Run.SUCCESS, {}, True),
        (Run.CANCELED, {}, True),
        (Run.FAILURE, {}, False),
        (Run.FAILURE, {"dagster/will_retry": "true"}, False),
        (Run.FAILURE, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": "gone"}, True),
        (Run.FAILURE, {"dagster/will_retry": "false"}, True),
    ],
)
def test_a_claim_is_free_once_its_run_has_ended_and_no_retry_of_it_is_to_come(
    status: Run, tags: dict[str, str], over: bool, instance: dg.DagsterInstance
) -> None:
    run = instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=status, tags=tags))
    assert is_over(instance, HOLDER + run.run_id) is over


def test_a_claim_is_held_while_one_of_the_retries_goes_on(instance: dg.DagsterInstance) -> None:
    tags = {"dagster/will_retry": "true", "dagster/auto_retry_run_id": "next"}
    killed = instance.add_run(dg.DagsterRun(job_name="flywheel", run_id=new_id(), status=Run.FAILURE, tags=tags))
    a_run(instance, root=killed)
    assert not is_over(instance, HOLDER + killed.run_id)


@pytest.mark.parametrize("holder", ["laptop-17", HOLDER + "of another instance"])
def test_a_claim_of_somebody_else_is_theirs(holder: str, instance: dg.DagsterInstance) -> None:
    assert not is_over(instance, holder)
