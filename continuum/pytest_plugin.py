"""The guard in a test suite: a verdict as a fixture, and an assertion whose message is the report.

    from continuum.pytest_plugin import assert_approved

    def test_the_candidate_may_serve(continuum_verdict):
        assert_approved(continuum_verdict, allow_inconclusive=True)

The fixture and its options are in `continuum_pytest`, which pytest loads by itself.
"""

import asyncio
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

from continuum.errors import ConfigurationError
from continuum.records import Verdict, VerdictStatus
from continuum.store import default_store

COLUMNS = 100
"""Width of the report in an assertion's message."""


def verdict_on(candidate: str, golden: str | None = None, report: str | Path | None = None) -> Verdict:
    """Examine a checkpoint as its task's policy says, from code that is not async; the verdict is stored.

    Args:
        candidate: id or name of the checkpoint.
        golden: name or folder of a golden dataset; None for the task's newest.
        report: where a report is written besides, in the form that its ending says.

    Raises:
        ConfigurationError: there is no such checkpoint or golden dataset, or the guard cannot examine it.
    """
    from continuum.guard.guard import RegressionGuard
    from continuum.guard.report import report_form, write_report
    from continuum.splits.golden import GoldenDataset

    store = default_store()
    checkpoint = store.checkpoints.get(candidate)
    if checkpoint is None:
        raise ConfigurationError(f"there is no checkpoint {candidate!r} in {store!r}; train one, or name another")
    if report is not None:
        # Not after an examination that took an hour.
        report_form(report)
    dataset = GoldenDataset.load(golden, store=store) if golden else None
    guard = RegressionGuard.for_task(store.tasks.get(checkpoint.task).policy, golden_dataset=dataset, store=store)
    # In a thread of its own, for a suite may have an event loop running here. What libraries warn of is shown and fails nothing:
    # a suite that makes errors of warnings tests the model, not its libraries.
    with warnings.catch_warnings(), ThreadPoolExecutor(1) as thread:
        warnings.simplefilter("default")
        verdict = thread.submit(lambda: asyncio.run(guard.evaluate(candidate_model=checkpoint))).result()
    if report is not None:
        write_report(verdict, report)
    return verdict


def assert_approved(verdict: Verdict, allow_inconclusive: bool = False) -> None:
    """Fail unless the verdict lets the candidate serve; the message is the report.

    Args:
        verdict: the guard's.
        allow_inconclusive: whether a candidate passes too that was shown to be neither worse nor as good, and that the policy
            lets serve a small share of traffic. One that was not measured never passes.

    Raises:
        AssertionError: the candidate may not serve.
    """
    __tracebackhide__ = True
    undecided = verdict.status == VerdictStatus.INCONCLUSIVE and verdict.approved
    if verdict.status == VerdictStatus.APPROVED or (allow_inconclusive and undecided):
        return
    raise AssertionError(_shown(verdict))


def _shown(verdict: Verdict) -> str:
    from rich.console import Console

    from continuum.guard.report import print_verdict

    written = StringIO()
    print_verdict(verdict, Console(file=written, width=COLUMNS, force_terminal=True, color_system=None))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())
