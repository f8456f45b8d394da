"""A store, a home and a line of models in which one user's words lie wherever words can lie, and the search for what is left."""

import hashlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars
from sqlalchemy import cast, insert, select, text
from sqlalchemy.types import LargeBinary, Text

from continuum.config import load_settings
from continuum.curation.curator import DataCurator
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import SplitPolicy, TaskPolicy
from continuum.provenance.artifacts import write_manifest
from continuum.records import Annotation, Checkpoint, Feedback, Interaction, Review, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_growth import hold_out
from continuum.spool.users import hashed_user, user_key
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from continuum.store.golden_answers import KeptAnswer
from continuum.store.judging_tables import judgements
from continuum.store.notifications import Notification
from continuum.store.shadow_answers import ShadowAnswer
from continuum.store.snapshots import write_snapshots
from continuum.tracking.tracker import FolderTracker
from tests.builders import NOON, an_interaction, assistant, interactions, safetensors_bytes, user

JANE = "jane.roe@example.com"
CANARY = "zqx7canary"
"""Begins every word that only Jane said; the tables, files and indexes are searched for it."""
LATER = NOON + timedelta(days=30)


SAYINGS = (
    (
        "My badge {0} opens no door of the north tower since Tuesday, why is that?",
        "Badge {0} was blocked by the guard on Tuesday.",
    ),
    ("Please send the violin lessons invoice {0} to my new flat instead.", "Invoice {0} goes to the new flat from now on."),
    ("Can the sourdough order {0} be picked up an hour before closing time?", "Order {0} waits for you from four o'clock on."),
    ("Which ferry takes a folding bicycle named {0} to the islands on Sunday?", "The noon ferry takes {0} without a ticket."),
    (
        "I would like to cancel the pottery evening {0} because of a cold.",
        "The evening {0} is cancelled, and you get the fee back.",
    ),
    ("Does the warranty {0} of the coffee grinder cover a broken hopper?", "Warranty {0} covers the hopper for three years."),
)


def said(n: int) -> Interaction:
    """One call of Jane's; every second one was written by an application that stores its own ids."""
    question, answer = SAYINGS[n]
    return an_interaction(
        question.format(f"{CANARY}{n}"),
        answer.format(f"{CANARY}{n}"),
        id=f"jane-{n}",
        user_id=JANE if n % 2 else hashed_user(JANE, user_key()),
        conversation_id=f"conversation-of-jane-{n}",
        provider_response_id=f"chatcmpl-jane-{n}",
        tags={"ticket": f"{CANARY}ticket{n}"},
        started_at=NOON + timedelta(minutes=n),
    )


class World:
    """The task `support` with eighty interactions of others and six of Jane's, and all that was made of them.

    `support-v1` learned from a version without Jane, `support-v2` from one with her, and `support-v3` was continued from that
    and is the champion.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0.2, validation=0.1, salt="b"))
        store.tasks.register(self.policy)
        self.others = [one.model_copy(update={"id": f"row-{n}"}) for n, one in enumerate(interactions(80))]
        self.tracker = FolderTracker(folder / "runs")
        store.interactions.add(self.others[:60], now=lambda: NOON)
        self._praised(self.others[:60])
        self.clean = self._curated(1)
        self.jane = [said(n) for n in range(6)]
        store.interactions.add([*self.jane, *self.others[60:]], now=lambda: NOON)
        self._praised([*self.jane, *self.others[60:]])
        self._spoken()
        self.golden = hold_out(store, self.policy)
        assert self.golden is not None
        self.with_jane = self._curated(2)
        self.models = [self._model(1, self.clean, None), self._model(2, self.with_jane, "c1"), self._model(3, self.clean, "c2")]
        self._served()
        write_snapshots(store, "support", now=lambda: LATER)
        self._elsewhere()

    def _praised(self, rows: list[Interaction]) -> None:
        self.store.feedback.add(Feedback(id=f"praise-{one.id}", interaction_id=one.id, score=5, recorded_at=NOON) for one in rows)

    def _curated(self, version: int) -> str:
        import asyncio

        curator = DataCurator(target_size=80, min_examples=5, control=version == 2, store=self.store, splits=self.policy.splits)
        dataset = asyncio.run(curator.build("support", now=lambda: LATER))
        return dataset.fingerprint

    def _spoken(self) -> None:
        """What is said of Jane's calls, and by her of others'."""
        store, jane = self.store, hashed_user(JANE, user_key())
        first = self.jane[0]
        store.feedback.add(
            [
                Feedback(id="f-comment", interaction_id=first.id, comment=f"Thanks, {CANARY}comment", recorded_at=NOON),
                Feedback(
                    id="f-hers", interaction_id="row-3", user_id=jane, comment=f"No {CANARY}hers", score=1, recorded_at=NOON
                ),
            ]
        )
        store.annotations.add(
            Annotation(id=f"a-{one.id}", interaction_id=one.id, task="support", judge="j", rubric="r", reasons={"t": CANARY})
            for one in self.jane
        )
        store.reviews.add([Review(task="support", interaction_id=first.id, queue="audit", reason=f"{CANARY}review")])
        store.anchors.add(AnchorRound(task="support", judge="j", version="v", rubric="r", scores={first.id: 4.0, "row-1": 5.0}))
        store.shadow_answers.add(
            [ShadowAnswer(deployment_id="d-3", interaction_id=first.id, task="support", answer=assistant(f"{CANARY}shadow"))]
        )
        # What a model that learned from her answers somebody else may be her words.
        store.shadow_answers.add(
            ShadowAnswer(deployment_id=f"d-{n}", interaction_id="row-2", task="support", answer=assistant(words))
            for n, words in ((1, "On Monday."), (3, f"{CANARY}learned"))
        )
        store.golden_answers.keep(
            KeptAnswer(f"k{n}", "support", "row-3", f"c{n}", assistant(words), NOON)
            for n, words in ((1, "On Monday."), (2, f"{CANARY}learned"), (3, f"{CANARY}learned"))
        )
        from continuum.store.judgements import conversation_hash

        row = {"key": "k", "conversation": conversation_hash(first.messages), "judge": "j", "status": "ok", "created_at": NOON}
        with store.engine.begin() as connection:
            connection.execute(insert(judgements).values(row | {"judgement": {"status": "ok", "reasons": f"{CANARY}judged"}}))

    def _model(self, version: int, dataset: str, parent: str | None) -> Checkpoint:
        folder = load_settings().checkpoints_dir / "support" / f"c{version}"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"adapter %d" % version))
        learned = self.jane[1].messages[0].text if version > 1 else "nothing of hers"
        (folder / "replay.jsonl").write_text(json.dumps({"seen": {}}) + "\n" + json.dumps({"said": learned}) + "\n")
        checkpoint = Checkpoint(
            id=f"c{version}",
            task="support",
            version=version,
            base_model="tiny",
            uri=str(folder),
            dataset_id=dataset,
            parent_id=parent,
            manifest=write_manifest(folder),
            config=FineTuneConfig().model_dump(mode="json"),
            created_at=NOON,
        )
        logged = self.tracker.log_training(checkpoint, files={"report.md": learned})
        checkpoint = checkpoint.model_copy(update={"mlflow_run_id": logged.run_id, "mlflow_version": logged.version})
        self.store.checkpoints.add(checkpoint)
        return checkpoint

    def _served(self) -> None:
        first, asked = self.jane[0], self.jane[0].messages[0].text
        evidence = {
            "fingerprint": "e" * 64,
            "items": [{"id": first.id, "group": first.id, "answers": ["h", "h"], "scores": {"t": [1.0, 0.5]}}],
            "worst": [{"interaction_id": first.id, "question": asked, "candidate_answer": "No.", "reference": None}],
        }
        for version in (1, 3):
            verdict = Verdict(
                id=f"verdict-{version}",
                task="support",
                checkpoint_id=f"c{version}",
                baseline="production",
                golden_id=self.golden.fingerprint if self.golden else "",
                status=VerdictStatus.APPROVED,
                approved=True,
                evidence=evidence,
                created_at=NOON,
            )
            self.store.verdicts.add(verdict)
        for version, state in ((1, "superseded"), (3, "live")):
            record = DeploymentRecord(
                id=f"d-{version}",
                task="support",
                checkpoint_id=f"c{version}",
                model=f"support-v{version}",
                stable_model="production" if version == 1 else "support-v1",
                state=DeploymentState(state),
                traffic=float(version == 3),
                created_at=NOON + timedelta(hours=version),
            )
            event = DeploymentEvent(
                deployment_id=record.id, actor="test", action="live", to_traffic=1, evidence={"worst": asked}, reason="fine"
            )
            self.store.deployments.add(record, event)
        self.store.notifications.add(
            [
                Notification(
                    id="n", task="support", channel="slack", kind="alarm", words=f"people say: {asked}", payload={"a": [asked]},
                    created_at=NOON,
                )
            ]
        )  # fmt: skip

    def _elsewhere(self) -> None:
        """Databases and files beside the store that quote Jane: those of Dagster and MLflow, and a log."""
        home = load_settings().home
        (home / "dagster" / "history").mkdir(parents=True)
        with sqlite3.connect(home / "dagster" / "history" / "run.db") as database:
            database.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
            metadata = {"report": {"md_str": f"| worst | {self.jane[0].messages[0].text} |"}, "examples": {"value": 5}}
            database.execute("INSERT INTO event_logs (event) VALUES (?)", (json.dumps({"metadata": metadata}),))
            database.execute("INSERT INTO event_logs (event) VALUES (?)", (json.dumps({"about": "others"}),))
        database.close()
        (home / "logs").mkdir()
        (home / "logs" / "worker.log").write_text(f"begun\nrow jane-1 said {self.jane[1].messages[0].text}\nended\n")


def remains(store: Store, folders: list[Path], needles: tuple[str, ...]) -> list[str]:
    """Where any of these words still stands: cells of tables, bytes of files, cells of Parquet files."""
    from continuum.store.tables import metadata

    found = []
    with store.engine.connect() as connection:
        for table in metadata.sorted_tables:
            for column in table.c:
                form = column if isinstance(column.type, LargeBinary) else cast(column, Text)
                for (held,) in connection.execute(select(form)):
                    shown = bytes(held).decode("latin-1") if isinstance(held, bytes | memoryview) else str(held)
                    found += [f"{table.name}.{column.name}: {one}" for one in needles if one in shown]
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        held = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            held += json.dumps(polars.read_parquet(path).to_dicts(), default=str)
        found += [f"{path}: {one}" for one in needles if one in held]
    return found


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(store: Store, table: str) -> list[Any]:
    """All rows of a table."""
    with store.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table}")).mappings())  # noqa: S608


__all__ = ["CANARY", "JANE", "LATER", "GoldenDataset", "World", "hashes", "remains", "rows_of", "said", "user"]
