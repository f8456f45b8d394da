"""A task's line through the seven assets, run by a real stack, with each asset held in its middle for as long as one likes.

The judge holds its answers, Postgres holds a lock that a write must wait for, and a training is long enough to be met at a step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg2

from benchmarks.orchestration.judge import MODEL, HoldingJudge
from benchmarks.orchestration.stack import PATIENCE_S, Stack, eventually, processes_of
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import CurationPolicy, GuardPolicy, JudgePolicy, TaskPolicy
from continuum.records import Feedback, Interaction, Message
from continuum.store.database import Store
from continuum_pipelines.claims import will_be_repeated

SEVEN = (
    "raw_interactions",
    "judged_annotations",
    "curated_dataset",
    "lora_checkpoint",
    "guard_verdict",
    "deployment",
    "learning_curve",
)
LOCKED = {"raw_interactions": "raters", "curated_dataset": "datasets", "deployment": "deployments"}
"""A table that an asset waits for while somebody else holds it: the first reads it on its way, the others write it at the end."""
JUDGED = ("judged_annotations", "guard_verdict", "learning_curve")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RIGHT = "It takes two days by train."
QUESTIONS = 60
TRAINING = FineTuneConfig(learning_rate=1e-2, epochs=20, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)


@dataclass(frozen=True)
class Left:
    """What a task has in the store and on the disk."""

    annotations: int
    datasets: int
    golden: int
    checkpoints: int
    verdicts: int
    deployments: int
    dataset_folders: int
    adapter_folders: int
    trainings_begun: int
    reserved_micro_usd: int
    claimed_by: str | None
    learned: bool
    """Whether the mark stands at the newest interaction."""


class Line:
    """One task, and the stack that turns it."""

    def __init__(self, task: str, stack: Stack, store: Store, judge: HoldingJudge, home: Path, database: str) -> None:
        self.task, self.stack, self.store, self.judge, self.home, self.database = task, stack, store, judge, home, database

    def register(self, base: Path, *, questions: int = QUESTIONS) -> None:
        """Make the task, with questions that production has answered wrongly and people have corrected."""
        self.store.tasks.register(
            TaskPolicy(
                task=self.task,
                base_model=str(base),
                training=TRAINING,
                judge=JudgePolicy(
                    model=MODEL, base_url=self.judge.base_url, admission="off", anchors=0, audit_rate=0, budget_usd=100
                ),
                curation=CurationPolicy(min_examples=5),
                guard=GuardPolicy(capability=False, alignment="off"),
                auto_deploy_if_better=True,
                provider_terms_accepted=True,
            )
        )
        rows = [asked(self.task, n) for n in range(questions)]
        self.store.interactions.add(rows)
        self.store.feedback.add(Feedback(interaction_id=row.id, score=1, correction=RIGHT) for row in rows)
        self.stack.instance.add_dynamic_partitions("task", [self.task])

    def materialize(self, asset: str, *, within_s: float = PATIENCE_S) -> dg.DagsterRun:
        """Have one asset made, undisturbed."""
        return self.ended(self.stack.materialize(asset, self.task), within_s=within_s)

    def ended(self, run: str, *, within_s: float = PATIENCE_S) -> dg.DagsterRun:
        """The last of a run and its retries, once it has ended and no other will come."""

        def last() -> dg.DagsterRun | None:
            newest = self.attempts(run)[-1]
            return newest if newest.is_finished and not will_be_repeated(newest) else None

        try:
            return eventually(last, f"run {run} of {self.task} ends", within_s=within_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self._story(run)}") from error

    def _story(self, run: str) -> str:
        """What is known of a run that does not end."""
        lines = []
        for attempt in self.attempts(run):
            lines.append(f"{attempt.run_id}: {attempt.status.value}, tags {dict(attempt.tags)}")
            lines += [f"    {said}" for said in self.stack.said(attempt.run_id)[-15:]]
        log = (self.stack.home / "daemon.log").read_text(errors="replace").splitlines()[-40:]
        return "\n".join([*lines, "the daemon said:", *(f"    {said}" for said in log)])

    def attempts(self, run: str) -> list[dg.DagsterRun]:
        """A run and its retries, the oldest first."""
        found = self.stack.instance.get_run_group(run)
        runs = list(found[1]) if found else [one for one in [self.stack.instance.get_run_by_id(run)] if one]
        return sorted(runs, key=lambda one: int(one.tags.get("dagster/retry_number", 0)))

    @contextmanager
    def middle_of(self, asset: str) -> Iterator[str]:
        """Begin an asset and hold it in its middle while the block lasts; yields its run."""
        if asset in LOCKED:
            with self._locked(LOCKED[asset]) as is_waited_for:
                run = self.stack.materialize(asset, self.task)
                eventually(is_waited_for, f"{asset} waits for {LOCKED[asset]}")
                yield run
        elif asset in JUDGED:
            self.judge.hold()
            try:
                run = self.stack.materialize(asset, self.task)
                eventually(lambda: self.judge.waiting, f"{asset} waits for the judge")
                yield run
            finally:
                self.judge.let_go()
        else:
            run = self.stack.materialize(asset, self.task)
            eventually(lambda: any("training, loss" in line for line in self.stack.said(run)), f"{asset} is at a step")
            yield run

    @contextmanager
    def _locked(self, table: str) -> Iterator[Callable[[], bool]]:
        connection, looking = (psycopg2.connect(self.database.replace("+psycopg2", "")) for _ in range(2))
        looking.autocommit = True

        def is_waited_for() -> bool:
            with looking.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [table])
                return cursor.fetchone() != (0,)

        try:
            with connection.cursor() as cursor:
                # What is only written to may be read meanwhile, by those who count.
                mode = "ACCESS EXCLUSIVE" if table == "raters" else "EXCLUSIVE"
                cursor.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield is_waited_for
        finally:
            for one in (connection, looking):
                with suppress(psycopg2.Error):
                    one.close()

    def left(self) -> Left:
        """What there is of the task now."""
        store, task = self.store, self.task
        state = store.tasks.get(task)
        versions = store.datasets.versions(task)
        return Left(
            annotations=store.annotations.count(task),
            datasets=sum(version.kind == "training" for version in versions),
            golden=sum(version.kind == "golden" for version in versions),
            checkpoints=len(store.checkpoints.of(task)),
            verdicts=self._verdicts(),
            deployments=len(store.deployments.of(task)),
            dataset_folders=folders_in(self.home / "datasets" / task),
            adapter_folders=folders_in(self.home / "checkpoints" / task),
            trainings_begun=folders_in(self.home / "training" / task),
            reserved_micro_usd=store.accounts.balance(task).reserved_micro_usd,
            claimed_by=state.claimed_by,
            learned=state.trained_through == store.interactions.last_sequence(task),
        )

    def _verdicts(self) -> int:
        with self.store.engine.connect() as connection:
            counted = connection.exec_driver_sql("SELECT count(*) FROM verdicts WHERE task = %s", (self.task,))
            return int(counted.scalar_one())

    def trainers(self) -> list[int]:
        """The living workers of trainings."""
        return processes_of(self.home, "continuum.training.worker")


def asked(task: str, n: int) -> Interaction:
    """A question that production cannot answer, and that no other task has: what is judged once is judged for all."""
    return Interaction(
        task=task,
        messages=(Message(role="user", content=f"{task} {n}: how long does it take?"),),
        response=Message(role="assistant", content="I do not know."),
        model="production",
        conversation_id=f"{task}-{n}",
        started_at=NOON + timedelta(minutes=n),
    )


def folders_in(folder: Path) -> int:
    """How many folders there are in one."""
    return sum(path.is_dir() for path in folder.iterdir()) if folder.is_dir() else 0
