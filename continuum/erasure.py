"""Forgetting a user or some interactions, through every stage: rows, files, indexes, models, and what quotes them elsewhere.

An erasure is a row of the store with its steps. Each step may be repeated, and one that is done is written down: whoever is
killed gives the same command again, and it goes on. While it works it holds the claims of the tasks, so that no turn trains on
what goes.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.erasing.finding import Found, Request, find, held_in, models_of
from continuum.erasing.models import delete_merged, delete_weights, quarantine, take_out_of_service
from continuum.erasing.receipt import Receipt, receipt_of
from continuum.erasing.servers import without_address
from continuum.erasing.words import Runs, Taking
from continuum.flywheel import claimed
from continuum.progress import Progress, silent
from continuum.records import Checkpoint, Record
from continuum.store import default_store
from continuum.timespan import utc_now
from continuum.tracking.tracker import Tracker, open_tracker

if TYPE_CHECKING:
    from continuum.deployment.settling import Hooks
    from continuum.store.database import Store
    from continuum.store.erasures import Erasure

Clock = Callable[[], datetime]
STEPS = (
    *("refuse", "drain", "find", "refuse what was found", "quarantine", "serve", "rows", "versions", "golden", "names", "quotes"),
    *("weights", "snapshots", "indexes", "elsewhere", "clear", "compact"),
)
"""In this order: nothing new comes in, what is touched is known, nothing of it serves, and then it goes."""


class Preview(Record):
    """What an erasure would do."""

    tasks: tuple[str, ...]
    counts: dict[str, int]
    versions: tuple[str, ...]
    """Training sets that hold some of it."""
    models: tuple[str, ...]
    """Models that learned from it: they would be taken out of service, deleted, and trained anew."""
    serving: tuple[str, ...]
    """Those of them that answer traffic now."""
    out_of_reach: tuple[str, ...] = ()
    """Databases that may quote it and of which no address is known, with how to have them reached."""
    troubles: tuple[str, ...] = ()


def preview(request: Request, *, store: "Store | None" = None, now: Clock = utc_now) -> Preview:
    """What an erasure would find; nothing is written.

    Raises:
        ConfigurationError: there is no such task.
        StoreError: the database failed.
    """
    opened = store or default_store()
    found = find(opened, request, before=now(), key="preview")
    held, troubles = held_in(opened, found.tasks, found.ids)
    models = [model for model, _ in models_of(opened, found.tasks, _taught(opened, held), found.ids)]
    serving = {one.model for one in opened.deployments.serving()}
    return Preview(
        tasks=tuple(found.tasks),
        counts=found.counts | {"quoted by others": found.quoting, "rewritten by the user": found.rewritten},
        versions=tuple(one.record.name for one in held),
        models=tuple(model.name for model in models),
        serving=tuple(model.name for model in models if model.name in serving),
        out_of_reach=tuple(without_address(load_settings())),
        troubles=tuple(troubles),
    )


async def forget(
    request: Request,
    *,
    store: "Store | None" = None,
    tracker: Tracker | None = None,
    hooks: "Hooks | None" = None,
    on_progress: Progress = silent,
    now: Clock = utc_now,
) -> Receipt:
    """Forget a user or interactions, and say what was done; goes on with the same request where one was broken off.

    Models that learned from it are out of service then, and wait to be trained anew: see `rebuild`.

    Args:
        request: who or what.
        store: where everything is.
        tracker: where trainings are logged; the one of the settings when left out.
        hooks: what deployments are led with; those of the settings when left out.
        on_progress: told of each step.
        now: the clock.

    Raises:
        ConfigurationError: there is no such task, or another driver turns one of the tasks; the message says who and until when.
        StoreError: the database failed; the same request goes on.
    """
    from continuum.store.erasures import Erasure

    opened = store or default_store()
    if request.task is not None:
        await asyncio.to_thread(opened.tasks.get, request.task)
    [subject] = await asyncio.to_thread(opened.erasures.hashed, [request.subject], "subject")
    asked = Erasure(
        kind="interactions" if request.user is None else "user",
        subject=subject,
        tasks=None if request.task is None else (request.task,),
        block=request.block,
        asked_at=now(),
    )
    begun = await asyncio.to_thread(opened.erasures.begin, asked)
    # One that was broken off is ended as it was asked, to its moment; what came since is a request of its own.
    as_begun = replace(request, block=begun.block)
    receipt = await _Work(opened, begun, as_begun, tracker, hooks, on_progress, now).to_end()
    if begun.id == asked.id or receipt.troubles:
        return receipt
    more = await asyncio.to_thread(find, opened, request, before=asked.asked_at, key=asked.id)
    if not (more.ids or more.opinions or (request.block and not begun.block)):
        return receipt
    first = f"erasure {begun.id}, which had been broken off, was ended: continuum forget --receipt {begun.id}"
    asked = asked.model_copy(update={"steps": {"before this": first}})
    again = _Work(opened, await asyncio.to_thread(opened.erasures.begin, asked), request, tracker, hooks, on_progress, now)
    return await again.to_end()


class _Work:
    """One erasure on its way."""

    def __init__(
        self,
        store: "Store",
        erasure: "Erasure",
        request: Request,
        tracker: Tracker | None,
        hooks: "Hooks | None",
        on_progress: Progress,
        now: Clock,
    ) -> None:
        self.store, self.erasure, self.request = store, erasure, request
        self.tracker, self.hooks, self.on_progress, self.now = tracker, hooks, on_progress, now
        # What an attempt before this one could not do is tried again.
        again = {*erasure.steps.get("again", ()), "again", "troubles"}
        # Models that are only found now are to be taken out of service, and deleted, as the others were.
        again |= {"serve", "weights"} if "quarantine" in again else set()
        self.erasure = erasure.model_copy(update={"steps": {n: said for n, said in erasure.steps.items() if n not in again}})
        self.troubles: list[str] = []
        self.again: list[str] = []
        self.found = Found()
        self.taking = Taking({}, Runs(erasure.id))

    async def to_end(self) -> Receipt:
        """All steps that are not done yet."""
        await self._step("refuse", self._refuse)
        await self._step("drain", self._drain)
        await self._step("find", self._find)
        if "clear" not in self.erasure.steps:
            self.found = Found(**(self.erasure.work or {}))
            stones = await asyncio.to_thread(self.store.erasures.tombstones, self.found.ids)
            self.taking = Taking(stones, Runs(self.erasure.id, self.found.runs))
        with ExitStack() as claims:
            for task in self.erasure.steps["find"]["tasks"]:
                await asyncio.to_thread(claims.enter_context, claimed(self.store, task))
            for name in STEPS[3:]:
                if name == "clear" and self.again:
                    # What is to be found stays known, so that the same command tries again what could not be done.
                    break
                if name == "names" and "golden" in self.again:
                    # By its members' ids the same command finds again the set that could not be changed.
                    self.again.append(name)
                    continue
                await self._step(name, getattr(self, f"_{name.replace(' ', '_')}"))
        receipt = await asyncio.to_thread(receipt_of, self.store, self.erasure, self.troubles)
        state = "open" if self.again else "erased" if receipt.to_rebuild else "done"
        told = receipt.model_dump(mode="json")
        self.erasure = await asyncio.to_thread(self.store.erasures.save, self.erasure, state=state, receipt=told, now=self.now)
        return receipt

    async def _step(self, name: str, do: Callable[[], Any]) -> None:
        if name in self.erasure.steps:
            return
        self.on_progress(STEPS.index(name), len(STEPS), name)
        before = len(self.troubles)
        if asyncio.iscoroutinefunction(do):
            said, values = await do()
        else:
            said, values = await asyncio.to_thread(do)
        self.again += [name] if len(self.troubles) > before else []
        steps = {**self.erasure.steps, name: said, "troubles": self.troubles, "again": self.again}
        saved = self.store.erasures.save
        self.erasure = await asyncio.to_thread(lambda: saved(self.erasure, steps=steps, now=self.now, **values))

    def _meet(self, troubles: Iterable[str]) -> None:
        self.troubles += [self.taking.out_of_text(trouble) for trouble in troubles]

    # --- before anything goes -----------------------------------------------------------------------------------------

    def _refuse(self) -> tuple[Any, dict[str, Any]]:
        request, hashed = self.request, self.store.erasures.hashed
        hashes: dict[str, Any] = dict.fromkeys(hashed(request.users(), "user", request.task or ""), "user")
        hashes |= dict.fromkeys(hashed(request.interactions, "interaction") if request.task is None else (), "interaction")
        before = None if request.block else self.erasure.asked_at
        return {"ids": self.store.erasures.refuse(self.erasure.id, hashes, before=before, now=self.now)}, {}

    def _drain(self) -> tuple[Any, dict[str, Any]]:
        from continuum.erasing.waiting import drained

        return drained(self.store, load_settings().spool_dir), {}

    def _find(self) -> tuple[Any, dict[str, Any]]:
        found = find(self.store, self.request, before=self.erasure.asked_at, key=self.erasure.id)
        counts = found.counts | {"quoted by others": found.quoting, "rewritten by the user": found.rewritten}
        return {"tasks": found.tasks, "counts": counts}, {"work": vars(found)}

    def _refuse_what_was_found(self) -> tuple[Any, dict[str, Any]]:
        hashed = self.store.erasures.hashed
        hashes: dict[str, Any] = dict.fromkeys(hashed([*self.found.ids, *self.found.provided], "interaction"), "interaction")
        hashes |= dict.fromkeys(hashed(self.found.opinions, "feedback"), "feedback")
        return {"ids": self.store.erasures.refuse(self.erasure.id, hashes, before=None, now=self.now)}, {}

    # --- nothing of it serves -----------------------------------------------------------------------------------------

    def _quarantine(self) -> tuple[Any, dict[str, Any]]:
        held, troubles = held_in(self.store, self.found.tasks, self.found.ids)
        self._meet(troubles)
        models = models_of(self.store, self.found.tasks, _taught(self.store, held), self.found.ids)
        return {"models": quarantine(self.store, models, self.erasure.id)}, {}

    async def _serve(self) -> tuple[Any, dict[str, Any]]:
        taken = [
            name
            for task in self.found.tasks
            for name in await take_out_of_service(self.store, task, hooks=self.hooks, tracker=self.tracker)
        ]
        self._meet(f"{name} still answers traffic; take it back: continuum rollback" for name in self._still_serving())
        return {"models that lost their traffic": len(taken)}, {}

    # --- it goes ------------------------------------------------------------------------------------------------------

    def _rows(self) -> tuple[Any, dict[str, Any]]:
        from continuum.store import touched
        from continuum.store.retention import erase

        engine = self.store.engine
        gone = touched.forget_opinions(engine, self.found.opinions, self.found.users if self.request.task is None else ())
        gone["interactions"] = erase(self.store, self.found.ids, now=self.now)
        gone["references of others"] = touched.unlink(engine, self.taking.stones)
        return gone, {}

    def _versions(self) -> tuple[Any, dict[str, Any]]:
        from continuum.erasing.versions import erase_from_versions

        done, troubles = erase_from_versions(self.store, self.found.tasks, self.taking, self.erasure.id)
        self._meet(troubles)
        return done, {}

    def _golden(self) -> tuple[Any, dict[str, Any]]:
        from continuum.splits.golden_erasure import erase_from_golden
        from continuum.training.erasure import STARTING_S, erase_from_trainings

        done = {"golden items": 0, "trainings": 0}
        for task in self.found.tasks:
            done["golden items"] += erase_from_golden(self.store, task, self._meet)
            # None of them is only starting: this process holds the task's claim.
            clock = lambda: self.now().timestamp() + 2 * STARTING_S  # noqa: E731
            done["trainings"] += erase_from_trainings(self.store, task, set(self.found.ids), clock=clock, complain=self._meet)
        return done, {}

    def _names(self) -> tuple[Any, dict[str, Any]]:
        from continuum.splits.golden_erasure import rename_erased
        from continuum.store import touched

        renamed = touched.rename_members(self.store.engine, self.taking.stones, self.erasure.id)
        golden = sum(rename_erased(self.store, task, self.taking.stones, self._meet) for task in self.found.tasks)
        return {"versions": renamed, "golden sets": golden}, {}

    def _quotes(self) -> tuple[Any, dict[str, Any]]:
        from continuum.erasing.verdicts import settle_verdicts
        from continuum.store.traces import rewrite_quotes

        changed = rewrite_quotes(self.store.engine, self.taking.out_of, self.erasure.id)
        verdicts = [one.id for one in changed if one.table == "verdicts"]
        self._meet(settle_verdicts(self.store, verdicts, self.erasure.id, self._tracker))
        return {"rows": len(changed), "verdicts": len(verdicts)}, {}

    def _weights(self) -> tuple[Any, dict[str, Any]]:
        from continuum.store import touched

        models = self._models()
        done, troubles = delete_weights(models, self._tracker)
        self._meet(troubles)
        # What they answered others may be what they learned.
        done["answers of theirs"] = touched.forget_answers(self.store.engine, [model.id for model in models])
        merged, left = delete_merged(load_settings().home / "merged", models)
        self._meet(left)
        return done | {"merged models": merged}, {}

    def _snapshots(self) -> tuple[Any, dict[str, Any]]:
        from continuum.store.snapshots import rewrite_stale

        done = {"parts written anew": 0, "parts removed": 0}
        for task in self.found.tasks:
            written, _, removed = rewrite_stale(self.store, task)
            done["parts written anew"] += written
            done["parts removed"] += removed
        return done, {}

    def _indexes(self) -> tuple[Any, dict[str, Any]]:
        from continuum.erasing.elsewhere import forget_vectors

        gone, troubles = forget_vectors(load_settings(), self.found.keys)
        self._meet(troubles)
        return {"vectors": gone}, {}

    def _elsewhere(self) -> tuple[Any, dict[str, Any]]:
        from continuum.erasing.elsewhere import take_out_of_files
        from continuum.erasing.servers import take_out_of_servers

        provided = self.store.erasures.tombstones(self.found.provided)
        stones = self.taking.stones | provided | dict.fromkeys(self.found.users, "erased-user")
        taking = Taking(stones, self.taking.runs)
        done, troubles = take_out_of_files(load_settings(), taking)
        rows, unreached = take_out_of_servers(load_settings(), taking)
        self._meet([*troubles, *unreached])
        return done | {"rows of databases on servers": rows} | {"ids too plain to be looked for in texts": taking.plain}, {}

    def _clear(self) -> tuple[Any, dict[str, Any]]:
        return "what was to be found is no longer known here", {"work": None}

    def _compact(self) -> tuple[Any, dict[str, Any]]:
        from continuum.store.compacting import compact

        trouble = compact(self.store.engine)
        self._meet([f"the store: {trouble}"] if trouble else [])
        return "not whole" if trouble else "the store gave up the bytes of what was deleted", {}

    def _still_serving(self) -> list[str]:
        out = {name for task in self.found.tasks for name in self.store.erasures.out_of_service(task)}
        return sorted({one.model for one in self.store.deployments.serving() if one.checkpoint_id in out})

    def _models(self) -> Sequence[Checkpoint]:
        artifacts = [one for one in self.store.erasures.of_erasure(self.erasure.id) if one.kind == "checkpoint"]
        return [model for one in artifacts if (model := self.store.checkpoints.get(one.id)) is not None]

    def _tracker(self) -> Tracker:
        self.tracker = self.tracker or open_tracker(load_settings())
        return self.tracker


def _taught(store: "Store", held: Iterable[Any]) -> set[str]:
    """Ids of the versions that taught something, and of the controls that stand beside them."""
    taught = {one.record.id for one in held if one.taught}
    beside = {one.id for one in store.datasets.versions() if one.manifest.get("config", {}).get("control_of") in taught}
    return taught | beside


def rebuilt(store: "Store") -> int:
    """Close the erasures of which no model waits to be trained anew any more; returns how many that are."""
    closed = 0
    waiting = {one.erasure_id for found in store.erasures.waiting().values() for one in found}
    for erasure in store.erasures.every("erased"):
        if erasure.id not in waiting:
            store.erasures.save(erasure, state="done")
            closed += 1
    return closed
