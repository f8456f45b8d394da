"""The receipt of an erasure: what was found and done, what is still to come, and what nobody here can reach.

It holds no word and no id of what was erased: who asked is a keyed hash.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime

from continuum.config import load_settings
from continuum.erasing.servers import addresses, without_address
from continuum.records import Record

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.erasures import Erasure

OUT_OF_REACH = (
    "backups and copies of the database, of the home and of the object storage, and old versions that a bucket keeps",
    "what was exported: `continuum export`, `continuum dataset export`, audit files, saved reports and golden sets",
    "logs of the providers that were asked, as production model, judge or embedder, and of the batch endpoints",
    "models that another server still holds in memory or on its disk, until it unloads them; merged models that were copied",
    "what models that had learned from it answered other users in live traffic, and judges wrote of other users' questions",
    "the application's own logs, traces and databases",
    "logs of Dagster's runs in a bucket or on another machine, and deleted runs of MLflow until `mlflow gc`",
    "blocks of the disk that a file system or an SSD has not written over yet",
)
NOTHING = (
    "nothing is stored under this id, nor under its hash; a user's hash is made with CONTINUUM_USER_KEY, or the file user_key of "
    "the home: run this with the key that the application captures with"
)
OF_POSTGRES = (
    "Postgres: the write-ahead log, replicas and base backups keep the rows until they are recycled, and pages keep bytes until "
    "they are used again (VACUUM FULL rewrites them)"
)


class Receipt(Record):
    """What an erasure came to."""

    erasure_id: str
    kind: str
    subject: str
    """A keyed hash of the user, or of the interactions' ids."""
    tasks: tuple[str, ...]
    asked_at: AwareDatetime
    finished_at: AwareDatetime
    found: dict[str, int]
    """What was found, by kind."""
    done: dict[str, Any]
    """What was done, step by step."""
    refused_from_now_on: int
    """Ids that are not taken in again."""
    quarantined: tuple[str, ...]
    """Models that learned from it: out of service, their weights deleted."""
    serving: dict[str, str]
    """Task to what answers its traffic now."""
    to_rebuild: dict[str, int]
    """Task to the models that wait to be trained anew without it."""
    troubles: tuple[str, ...]
    """What could not be done, in words; the same command tries it again."""
    out_of_reach: tuple[str, ...]
    sha256: str = ""
    """Of the canonical JSON of all the others."""

    def sealed(self) -> "Receipt":
        """The receipt with its hash."""
        from continuum.store.exact import digest_of

        return self.model_copy(update={"sha256": digest_of(self.model_dump(mode="json", exclude={"sha256"}))})

    def words(self) -> list[str]:
        """The receipt in lines."""
        found = ", ".join(f"{count} {kind}" for kind, count in self.found.items() if count) or "nothing"
        lines = [
            f"erasure {self.erasure_id}, asked {self.asked_at:%Y-%m-%d %H:%M} UTC, done {self.finished_at:%Y-%m-%d %H:%M} UTC",
            f"about: {self.kind} {self.subject[:16]} (a keyed hash), tasks: {', '.join(self.tasks) or 'none'}",
            f"found: {found}",
            *([NOTHING] if not any(self.found.values()) else []),
            *(f"{step}: {_told(said)}" for step, said in self.done.items()),
            f"not taken in again: {self.refused_from_now_on} ids",
            *(f"quarantined: {name}" for name in self.quarantined),
            *(f"{task} is answered by {name}" for task, name in self.serving.items()),
            *(f"to train anew: {count} of {task}: continuum forget --rebuild {task}" for task, count in self.to_rebuild.items()),
            *(f"not done: {trouble}" for trouble in self.troubles),
            *(f"out of reach: {place}" for place in self.out_of_reach),
            f"sha256 of this receipt: {self.sha256}",
        ]
        return lines


def _told(said: Any) -> str:
    if isinstance(said, dict):
        return ", ".join(f"{count} {kind}" for kind, count in said.items() if count) or "nothing to do"
    return str(said)


def receipt_of(store: "Store", erasure: "Erasure", troubles: Iterable[str]) -> Receipt:
    """The receipt of an erasure whose steps are all done."""
    from continuum.store.erasures import QUARANTINED

    steps = erasure.steps
    artifacts = [one for one in store.erasures.of_erasure(erasure.id) if one.kind == "checkpoint"]
    names = {model.id: model.name for task in steps["find"]["tasks"] for model in store.checkpoints.of(task)}
    waiting: dict[str, int] = {}
    for one in artifacts:
        if one.state == QUARANTINED:
            waiting[one.task] = waiting.get(one.task, 0) + 1
    champions = {task: store.deployments.champion(task) for task in steps["find"]["tasks"]}
    settings = load_settings()
    postgres = store.engine.dialect.name == "postgresql" or bool(addresses(settings))
    reach = [*OUT_OF_REACH, *([OF_POSTGRES] if postgres else []), *without_address(settings)]
    return Receipt(
        erasure_id=erasure.id,
        kind=erasure.kind,
        subject=erasure.subject,
        tasks=tuple(steps["find"]["tasks"]),
        asked_at=erasure.asked_at,
        finished_at=erasure.updated_at,
        found=steps["find"]["counts"],
        done={name: said for name, said in steps.items() if name not in ("find", "troubles", "again")},
        refused_from_now_on=store.erasures.refused(erasure.id)[0],
        quarantined=tuple(names.get(one.id, one.id) for one in artifacts),
        serving={task: "production" if found is None else found.model for task, found in champions.items()},
        to_rebuild=waiting,
        troubles=tuple(troubles),
        out_of_reach=tuple(reach),
    ).sealed()
