"""The demo's story: a shop's support is learned by a small model, then the shop sells something new.

Two turns of the wheel, each by whoever turns it (`continuum.flywheel.turn`, or Dagster), and at the end the candidate that
nobody should deploy. What the customers, the staff, the production model and the judge do is simulated; everything else is
the product.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from continuum import flywheel
from continuum.config import Settings, load_settings
from continuum.dataset import Dataset
from continuum.demo.application import Application, Served, correct
from continuum.demo.base_text import base_texts
from continuum.demo.exam import Exam, Result
from continuum.demo.provider import SimulatedProvider
from continuum.demo.recipe import PRODUCTION_MODEL, TASK, Recipe, plain, policy_of
from continuum.demo.telling import Teller
from continuum.demo.world import World
from continuum.deployment.backends.local_server import LocalServer
from continuum.deployment.gateway.gateway import Gateway
from continuum.deployment.handle import Deployment
from continuum.errors import DeploymentError, NotEnoughData
from continuum.flywheel import Stopwatch, TurnReport
from continuum.guard.guard import RegressionGuard
from continuum.models.answering import LocalAnswerer
from continuum.policy import TaskPolicy
from continuum.progress import Progress
from continuum.records import Checkpoint, Message, Verdict
from continuum.spool.spool import flush
from continuum.store import default_store
from continuum.tracking.tracker import open_tracker
from continuum.training.trainer import Trainer

if TYPE_CHECKING:
    from continuum.store.database import Store

ROUTES_ARE_READ_S = 1.0

Turner = Callable[[str, "Store", Progress], Awaitable[TurnReport]]
"""Whoever turns the wheel once for a task."""


async def turn_here(task: str, store: "Store", on_progress: Progress) -> TurnReport:
    """Turn the wheel in this process, without Dagster."""
    return await flywheel.turn(task, store=store, on_progress=on_progress)


async def tell(
    console: Console, *, seed: int | None = None, turner: Turner = turn_here, recipe: Recipe | None = None
) -> dict[str, Any]:
    """Run the demo and tell it on the console; its figures are also written to `demo.json` in CONTINUUM_HOME.

    Args:
        console: where the story is told.
        seed: of everything random; the environment's when left out.
        turner: who turns the wheel.
        recipe: how much of everything; the demo's own when left out.

    Returns:
        The figures, as in `demo.json`.
    """
    settings = load_settings()
    chosen = recipe or Recipe(seed=settings.seed if seed is None else seed)
    async with SimulatedProvider(seed=chosen.seed) as provider:
        return await Demo(chosen, settings, provider, turner, Teller(console)).run()


class Demo:
    """One telling: the state that its chapters share."""

    def __init__(self, recipe: Recipe, settings: Settings, provider: SimulatedProvider, turner: Turner, teller: Teller) -> None:
        self.recipe = recipe
        self.settings = settings
        self.provider = provider
        self.turner = turner
        self.teller = teller
        self.world = World()
        self.rng = random.Random(recipe.seed)
        self.store = default_store()
        self.clock = Stopwatch()
        self.answerer = LocalAnswerer(max_new_tokens=40)
        self.splits: list[dict[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        """All chapters, in order."""
        self._forget_the_last_telling()
        self.teller.open(self.settings.home, self.recipe.seed)
        policy = await self._build_base()
        exam = Exam(self.world, policy, at_most=self.recipe.exam_questions)
        upstream = {"upstream_base_url": self.provider.base_url, "upstream_api_key": None}
        async with LocalServer(self.store) as local, Gateway(self.store, self.settings.model_copy(update=upstream)) as gateway:
            # The application knows the gateway's address and nothing else; who answers behind it changes under its feet.
            with environment(CONTINUUM_SERVING_URL=local.base_url, CONTINUUM_GATEWAY_URL=gateway.base_url):
                await self._customers_ask(gateway.base_url, "shop", self.recipe.first_questions, phase="traffic 1")
                first = await self._turn("turn 1")
                deployment = Deployment.open(self._deployed(first), store=self.store)
                await self._ramp(deployment, gateway.base_url)
                await self._the_speaker_is_sold(deployment, gateway.base_url)
                second = await self._turn("turn 2")
        contrast, blocked = await self._offer_the_plain_candidate(policy, second)
        with self.teller.phase("the exam", self.clock, "exam"):
            results = await self._examine(exam, first, second, contrast)
        figures = self._figures(results, first, second, blocked)
        (self.settings.home / "demo.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
        self.teller.close(exam, results, blocked, figures, self.settings.home)
        return figures

    # --- chapters ------------------------------------------------------------------------------------------------------

    async def _build_base(self) -> TaskPolicy:
        from continuum.training.base import build_base  # torch and transformers start here

        folder = self.settings.models_dir / f"demo-base-{self.recipe.seed}"
        with self.teller.phase("a small base model is built from made-up text", self.clock, "base") as on_progress:
            shutil.rmtree(folder, ignore_errors=True)
            texts = base_texts(self.world, random.Random(self.recipe.seed), self.recipe.base_texts)
            steps, seed = self.recipe.base_steps, self.recipe.seed
            await _stoppable(lambda told: build_base(texts, folder, steps=steps, seed=seed, on_progress=told), on_progress)
        policy = policy_of(
            self.recipe, base_model=folder, provider_url=self.provider.base_url, constraints=self.world.constraints
        )
        self.answerer.base_model = folder
        self.store.tasks.register(policy)
        return policy

    async def _customers_ask(self, base_url: str, group: str, count: int, *, phase: str, day: str = "") -> list[Served]:
        application = Application(base_url)
        chats = round(self.recipe.small_talk * count) if phase == "traffic 1" else 0
        questions = self.world.traffic(self.rng, count - chats, group) + self.world.small_talk(self.rng, chats)
        self.rng.shuffle(questions)
        try:
            with self.teller.phase(f"{count} customers ask about the {group}", self.clock, phase) as on_progress:
                served = await application.serve(questions, day=day or phase, on_progress=on_progress)
                await asyncio.to_thread(flush)
        finally:
            await application.close()
        return served

    async def _turn(self, name: str) -> TurnReport:
        with self.teller.phase(f"{name} of the wheel", self.clock, name) as on_progress:
            report = await self.turner(TASK, self.store, on_progress)
        if report.checkpoint is None or report.verdict is None:
            raise NotEnoughData(f"{name} of the demo came to nothing: {report.outcome}, {report.reason}")
        self.teller.turned(name, report)
        return report

    async def _ramp(self, deployment: Deployment, gateway_url: str) -> None:
        """Real traffic through the gateway at each step; an operator, here simulated, takes the steps."""
        while deployment.current_traffic_split < 1:
            day = f"ramp-{len(self.splits)}"
            served = await self._customers_ask(gateway_url, "shop", self.recipe.live_questions, phase="ramp", day=day)
            self._note_split(deployment, served)
            try:
                await deployment.promote(reason="the demo's operator does not wait two hours", actor="demo operator (simulated)")
            except DeploymentError as refusal:
                self.teller.refused(refusal)
                return
            # The gateway reads its routes a few times a second; what is asked before that is still split the old way.
            await asyncio.sleep(ROUTES_ARE_READ_S)

    async def _the_speaker_is_sold(self, deployment: Deployment, gateway_url: str) -> None:
        asked = await self._customers_ask(gateway_url, "speaker", self.recipe.second_questions, phase="traffic 2")
        self._note_split(deployment, asked)
        corrected, praised = await correct(self.world, asked, self.rng)
        await asyncio.to_thread(flush)
        self.teller.corrected(len(asked), corrected, praised)

    def _note_split(self, deployment: Deployment, served: list[Served]) -> None:
        found = self.store.interactions.get_many(one.interaction_id for one in served)
        tuned = sum(one.model == deployment.record.model for one in found.values())
        self.splits.append({"share": deployment.current_traffic_split, "production": len(found) - tuned, "tuned": tuned})

    async def _offer_the_plain_candidate(self, policy: TaskPolicy, second: TurnReport) -> tuple[Checkpoint, Verdict]:
        record = self.store.datasets.get(second.dataset_id or "")
        parent = self.store.checkpoints.get((second.checkpoint and second.checkpoint.parent_id) or "")
        dataset = Dataset.read(record.uri if record else "")
        with self.teller.phase(
            "a plain LoRA, with nothing against forgetting, is trained and offered", self.clock, "plain"
        ) as bar:
            trainer = Trainer(policy.base_model, plain(policy.training), store=self.store, parent=parent)
            contrast = (await trainer.train(dataset, on_progress=bar)).model
            guard = RegressionGuard.for_task(policy, store=self.store, tracker=open_tracker(self.settings))
            return contrast, await guard.evaluate(candidate_model=contrast, on_progress=bar)

    async def _examine(self, exam: Exam, first: TurnReport, second: TurnReport, contrast: Checkpoint) -> list[Result]:
        application = Application(self.provider.base_url)
        try:
            # Not through the decorated function: the exam is no traffic, and nothing may learn from it.
            replies = await asyncio.gather(
                *(
                    application.client.chat.completions.create(
                        model=PRODUCTION_MODEL, messages=[{"role": "user", "content": question.text}]
                    )
                    for question in exam.questions
                )
            )
        finally:
            await application.close()
        production = [Message(role="assistant", content=reply.choices[0].message.content) for reply in replies]
        results = [await exam.mark("production", production), await exam.take("base", None, self.answerer)]
        for name, model in (("tuned, turn 1", first.checkpoint), ("tuned, turn 2", second.checkpoint), ("plain LoRA", contrast)):
            results.append(await exam.take(name, model, self.answerer))
        return results

    # --- the rest ------------------------------------------------------------------------------------------------------

    def _deployed(self, report: TurnReport) -> str:
        if report.deployment_id is None:
            raise DeploymentError(f"turn 1 of the demo deployed nothing: {report.reason}; run it with another CONTINUUM_SEED")
        return report.deployment_id

    def _figures(self, results: list[Result], first: TurnReport, second: TurnReport, blocked: Verdict) -> dict[str, Any]:
        production, base, one, two, plain_ = results
        return {
            "simulated": ["customers", "support staff", "production model", "judge"],
            "seed": self.recipe.seed,
            "quality": {
                "production": production.quality,
                "base": base.quality,
                "turn_1": one.quality,
                "tuned": two.quality,
                "plain": plain_.quality,
            },
            "margin": {result.name: result.margin for result in results},
            "right": {result.name: result.right for result in results},
            "seconds": self.clock.seconds | {"total": round(sum(self.clock.seconds.values()), 1)},
            "verdict": {
                "turn_1": _short(first.verdict),
                "turn_2": _short(second.verdict),
                "plain": _short(blocked),
            },
            "traffic": self.splits,
            "deployment": {"turn_1": first.deployment_id, "turn_2": second.deployment_id},
        }

    def _forget_the_last_telling(self) -> None:
        # Only the demo's own task: everything else in this home belongs to somebody.
        self.store.drop_task(TASK)
        for folder in (self.settings.datasets_dir, self.settings.checkpoints_dir):
            shutil.rmtree(folder / TASK, ignore_errors=True)


def _short(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    fields = {"id", "status", "approved", "deltas", "failed_checks", "max_traffic"}
    return verdict.model_dump(mode="json", include=fields)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while: the demo's own process stands in for an application's."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Stopped(Exception):
    """Ends a thread whose work nobody waits for any more."""


async def _stoppable(work: Callable[[Progress], Any], on_progress: Progress) -> None:
    """Do some work in a thread; where whoever waits is cancelled, as by Ctrl-C, it ends when it next tells how far it is."""
    stopped = threading.Event()

    def told(done: int, total: int, note: str) -> None:
        if stopped.is_set():
            raise _Stopped
        on_progress(done, total, note)

    try:
        await asyncio.to_thread(work, told)
    except asyncio.CancelledError:
        stopped.set()
        raise
