"""The demo with Dagster turning the wheel, so that the UI shows what it did: `python -m continuum_pipelines.demo`."""

import asyncio
import sys

from rich.console import Console

from continuum.demo.story import tell
from continuum.errors import ContinuumError
from continuum.flywheel import TurnReport
from continuum.progress import Progress
from continuum.store.database import Store
from continuum_pipelines.turn import run_turn


async def turn_through_dagster(task: str, store: Store, on_progress: Progress) -> TurnReport:
    """Materialize the seven assets of a task, in a thread of their own, and report what is in the store then."""
    outcome = await asyncio.to_thread(run_turn, task, on_progress=on_progress)
    checkpoint = next(reversed(store.checkpoints.of(task)), None)
    verdict = store.verdicts.latest(checkpoint.id) if checkpoint else None
    deployment = next((d for d in store.deployments.serving(task) if checkpoint and d.checkpoint_id == checkpoint.id), None)
    return TurnReport(
        task=task,
        outcome="waiting" if outcome.waiting else outcome.action,
        reason=outcome.statuses["curated_dataset" if outcome.waiting else "deployment"].partition(": ")[2],
        dataset_id=checkpoint.dataset_id if checkpoint else None,
        checkpoint=checkpoint,
        verdict=verdict,
        deployment_id=deployment.id if deployment else None,
        seconds=outcome.seconds,
    )


def main() -> int:
    """Tell the story; 1 when it could not be told to its end."""
    console = Console()
    try:
        asyncio.run(tell(console, turner=turn_through_dagster))
    except ContinuumError as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; run it again to start over")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
