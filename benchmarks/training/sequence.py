"""How much is forgotten when one task after another is learned, and what keeping it costs the newest task.

| experiment | what is learned, one adapter throughout |
|---|---|
| three tasks | 8 intents a turn, in seven ways: what forgets, each thing that holds, and what the product does by default |
| two turns | 24 intents, long or short; then 12 others with EWC alone, at the lambda that the product has by default |

Every training is the product's own, a job in a folder (`continuum/training/loop.py`); what the ways of one seed have in common is
trained once, and a folder that is kept goes on where it was interrupted. All losses are nats per answer token on held-out
questions, in phrases that no lesson has; an intent is kept where the answer to such a question is right word for word. The loss
on new tasks is that on each right after it was learned, for the tasks that had an earlier one to be kept; forgetting is the loss
on earlier tasks at the end minus the loss on each right after it was learned.
"""

import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.training.corpus import BASE_STEPS, FIRST, SECOND, TASKS, build_corpus_base, general_lessons, lessons, said_exactly
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.models.chat_format import encode_turns
from continuum.models.local import answer_losses, load_base, load_tokenizer, pad_id, quiet_peft
from continuum.progress import silent
from continuum.records import Example
from continuum.statistics.paired import t_interval
from continuum.training.job import Inputs, Job, write_job
from continuum.training.loop import run_job
from continuum.training.replay import ReplayBuffer
from continuum.training.reporting import ProgressEvents

LONGEST = 96
BATCH = 16
PLAIN = FineTuneConfig(
    lora_rank=16,
    lora_alpha=32,
    # What a base of half a million parameters needs; a real one takes the default.
    learning_rate=1e-2,
    batch_size=BATCH,
    max_length=LONGEST,
    checkpoint_every=1000,
    forgetting_prevention=EWCConfig(enabled=False),
    replay_share=0,
    general_share=0,
)
FORGETS, HOLDS, ALONE = "plain LoRA", "EWC + replay", "EWC, sampled Fisher"
LIGHT, WHOLE = "EWC at lambda 100 + replay", "EWC + replay + general questions"


def holding(**changes: object) -> FineTuneConfig:
    """A plain LoRA with something that holds it."""
    return PLAIN.model_copy(update=changes)


DEFAULTS = FineTuneConfig()
WAYS: dict[str, FineTuneConfig] = {
    FORGETS: PLAIN,
    "L2 anchor of the same mean strength": holding(forgetting_prevention=EWCConfig(kind="l2")),
    "EWC, empirical Fisher": holding(forgetting_prevention=EWCConfig(fisher_labels="observed")),
    ALONE: holding(forgetting_prevention=EWCConfig()),
    "replay": holding(replay_share=DEFAULTS.replay_share),
    HOLDS: holding(forgetting_prevention=EWCConfig(), replay_share=DEFAULTS.replay_share),
    LIGHT: holding(forgetting_prevention=EWCConfig(lambda_ewc=100), replay_share=DEFAULTS.replay_share),
    WHOLE: holding(forgetting_prevention=EWCConfig(), replay_share=DEFAULTS.replay_share, general_share=DEFAULTS.general_share),
}
"""All at the product's own lambda and shares; lambda 100 beside replay was chosen on a seed that is not measured here."""


@dataclass(frozen=True)
class Size:
    """How much of it."""

    seeds: int
    base_steps: int
    task_steps: int
    """Batches of new rows for each task of the sequence."""
    first_steps: tuple[int, ...]
    """Batches of the first of two turns: each is an experiment."""
    second_steps: int
    each: int = 20
    """Lessons on an intent."""
    asked: int = 6
    """Exam questions on an intent."""
    tasks: int = len(TASKS)
    """Of the sequence, the first so many."""
    ways: tuple[str, ...] = tuple(WAYS)


FULL = Size(seeds=5, base_steps=BASE_STEPS, task_steps=80, first_steps=(150, 400), second_steps=150)
QUICK = Size(
    seeds=1, base_steps=25, task_steps=6, first_steps=(), second_steps=0, each=6, asked=2, tasks=2, ways=(FORGETS, HOLDS)
)


@dataclass(frozen=True)
class Mark:
    """What a model is worth on one exam."""

    loss: float
    exact: float
    """Share answered word for word, 0 to 1."""


Marks = Mapping[str, Mark]
"""By exam."""


@dataclass(frozen=True)
class Outcome:
    """One way and one seed, after the last turn."""

    new: Mark
    """Every task but the first, right after it was learned."""
    old: Mark
    """Every task but the last, at the end."""
    forgetting: float
    """Nats."""
    general: Mark


@dataclass(frozen=True)
class Turn:
    """One training that is done, and what the exams say after it."""

    artifact: Path
    marks: Marks


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Train every way of both experiments, seed by seed."""
    size = size or (QUICK if setting.quick else FULL)
    torch.set_num_threads(1)
    setting.say("base model")
    base = build_corpus_base(setting.folder / "base", seed=setting.seed, steps=size.base_steps)
    found: dict[str, list[Outcome]] = {}
    for seed in range(setting.seed, setting.seed + size.seeds):
        line = Line(base, setting, size, seed)
        for name in size.ways:
            found.setdefault(name, []).append(line.three_tasks(name))
        for steps in size.first_steps:
            for name in (FORGETS, ALONE):
                found.setdefault(two_turns(steps, name), []).append(line.two_turns(name, steps))
    return told(found, size, setting.quick)


def two_turns(steps: int, name: str) -> str:
    """What a row of the second experiment is called."""
    return f"{steps} steps, then {name}"


class Line:
    """The trainings of one seed, and the exams that follow each."""

    def __init__(self, base: Path, setting: Setting, size: Size, seed: int) -> None:
        self.base, self.setting, self.size, self.seed = base, setting, size, seed
        self.folder = setting.folder / f"seed-{seed}"
        self.tokenizer = load_tokenizer(base)
        self.general = general_lessons()
        rng = random.Random(seed)
        topics = TASKS | {"first": FIRST, "second": SECOND}
        self.lessons = {name: lessons(intents, rng, size.each) for name, intents in topics.items()}
        self.exams = {name: lessons(intents, rng, size.asked, exam=True) for name, intents in topics.items()}
        self.exams["general"] = general_lessons(exam=True)

    def three_tasks(self, way: str) -> Outcome:
        """Learn the tasks of the sequence one after another, the first of them the same for all ways that can share it."""
        config, names = WAYS[way], list(TASKS)[: self.size.tasks]
        # The first turn has no penalty and nothing to replay: only what general questions add to it makes it another.
        first = config if config.general_share else PLAIN
        turn = self.turn(f"{'general' if config.general_share else 'shared'}-0", first, names[0], self.size.task_steps, None)
        turns = [turn]
        for place, name in enumerate(names[1:], start=1):
            turn = self.turn(f"{_slug(way)}-{place}", config, name, self.size.task_steps, turn.artifact)
            turns.append(turn)
        return outcome([turn.marks for turn in turns], names)

    def two_turns(self, way: str, steps: int) -> Outcome:
        """Learn 24 intents, then 12 others in one of the ways."""
        first = self.turn(f"first-{steps}", PLAIN, "first", steps, None)
        second = self.turn(f"first-{steps}-{_slug(way)}", WAYS[way], "second", self.size.second_steps, first.artifact)
        return outcome([first.marks, second.marks], ["first", "second"])

    def turn(self, name: str, config: FineTuneConfig, learned: str, steps: int, parent: Path | None) -> Turn:
        """One training and its exams, or what an interrupted run before this one left of it."""
        folder = self.folder / name
        train = self.lessons[learned]
        buffer = ReplayBuffer.load(parent) if parent else ReplayBuffer()
        if config.general_share:
            # The base was asked these when it was built: what it says to them is what it says here.
            buffer = buffer.with_fixed("general", self.general)
        fresh = BATCH - round(BATCH * config.replay_share) * bool(parent) - round(BATCH * config.general_share)
        told = config.model_copy(update={"epochs": steps * fresh / len(train), "seed": self.seed})
        job = Job(
            task=f"{name}-{self.seed}",
            base_model=str(self.base),
            config=told,
            dataset=learned,
            artifact=str(folder / "artifact"),
            parent=str(parent) if parent else None,
        )
        if not (folder / "job.json").is_file():
            write_job(folder, job, Inputs(train=tuple(train), replay=buffer.rows))
        self.setting.say(f"seed {self.seed}: {name}")
        run_job(folder, ProgressEvents(silent))
        return Turn(folder / "artifact", self._marks(folder))

    def _marks(self, folder: Path) -> Marks:
        path = folder / "marks.json"
        if not path.is_file():
            with quiet_peft():
                model = PeftModel.from_pretrained(load_base(self.base), str(folder / "artifact"))
            path.write_text(json.dumps({name: self._mark(model, rows) for name, rows in self.exams.items()}))
        return {name: Mark(*values) for name, values in json.loads(path.read_text()).items()}

    def _mark(self, model: torch.nn.Module, examples: Sequence[Example]) -> tuple[float, float]:
        rows = encode_turns(self.tokenizer, [(example.messages, example.response) for example in examples], LONGEST)
        pad = pad_id(self.tokenizer)
        losses = answer_losses(model.eval(), rows, pad, batch_size=64)
        return statistics.fmean(losses), statistics.fmean(said_exactly(model, rows, pad))


def outcome(turns: Sequence[Marks], names: Sequence[str]) -> Outcome:
    """What was learned and what was lost, of the tasks that were learned in these turns."""
    own = [marks[name] for marks, name in zip(turns, names, strict=True)]
    old = [turns[-1][name] for name in names[:-1]]
    lost = [after.loss - before.loss for after, before in zip(old, own, strict=False)]
    return Outcome(_mean(own[1:]), _mean(old), mean_of(lost), turns[-1]["general"])


def told(found: Mapping[str, Sequence[Outcome]], size: Size, quick: bool) -> Result:
    """The table and the claims."""
    shown = table(
        f"{size.tasks} tasks of 8 intents, {size.task_steps} steps each"
        + (f"; two turns of 24 and 12 intents, the second of {size.second_steps} steps" if size.first_steps else "")
        + (f"; mean of {size.seeds} seeds ± half the width of its 95 % t interval" if size.seeds > 1 else "; one seed"),
        *("", "new loss", "old loss", "forgetting", "general loss", "new exact", "old exact", "general exact"),
    )
    for name, outcomes in found.items():
        _add(shown, name, outcomes)
    entries = _of_three_tasks(found, size, quick)
    for steps in size.first_steps:
        plain, alone = (mean_of([one.old.exact for one in found[two_turns(steps, name)]]) for name in (FORGETS, ALONE))
        what = f"old intents kept after a turn of {steps} steps and another of {size.second_steps}, {size.seeds} seeds"
        entries += [
            Entry.of_value(f"{what}: EWC alone at lambda {DEFAULTS.forgetting_prevention.lambda_ewc:g}", alone, ">=", 0.6, plain),
            Entry.of_value(f"{what}: {FORGETS}", plain, "<=", 0.01),
        ]
    notes = [
        "questions and answers are made up; loss in nats per answer token, exact match on held-out questions, word for word",
        "new: each task but the first right after it was learned; old: each but the last, at the end",
    ]
    if quick:
        notes.append(f"quick: a base of {size.base_steps} steps and turns of {size.task_steps}; so small a run shows nothing")
    return Result(entries, shown, notes)


def _of_three_tasks(found: Mapping[str, Sequence[Outcome]], size: Size, quick: bool) -> list[Entry]:
    lost = {name: mean_of([one.forgetting for one in outcomes]) for name, outcomes in found.items()}
    learned = {name: mean_of([one.new.loss for one in outcomes]) for name, outcomes in found.items()}
    stated = (
        "stated: so small a run shows nothing" if quick else "stated: with replay beside it, this lambda costs a small model more"
    )
    entries = []
    for way in (name for name in (LIGHT, HOLDS) if name in found):
        for what, figures, goal in (
            (f"nats forgotten over {size.tasks} tasks", lost, 1 / 8),
            (f"loss on new tasks, over {size.tasks} tasks", learned, 1.25),
        ):
            entry = Entry.of_ratio(f"{what}, {size.seeds} seeds: {way} to {FORGETS}", figures[way], figures[FORGETS], goal)
            # What is claimed of the loss on new tasks is claimed at the lambda that suits a model of this size beside replay.
            open_to_all = quick or (way == HOLDS and figures is learned)
            entries.append(replace(entry, goal=stated, holds=None) if open_to_all else entry)
    return entries


def _add(shown: Table, name: str, outcomes: Sequence[Outcome]) -> None:
    figures = [
        [one.new.loss for one in outcomes],
        [one.old.loss for one in outcomes],
        [one.forgetting for one in outcomes],
        [one.general.loss for one in outcomes],
    ]
    shares = [[getattr(one, exam).exact for one in outcomes] for exam in ("new", "old", "general")]
    shown.add_row(name, *(_spread(values, "{:.3f}") for values in figures), *(_spread(values, "{:.0%}") for values in shares))


def _spread(values: Sequence[float], form: str) -> str:
    """The mean and half the width of its interval, where there is one."""
    if len(values) < 2:
        return form.format(*values)
    low, high = t_interval(np.array(values))
    return f"{form.format(mean_of(values))} ± {form.format((high - low) / 2)}"


def mean_of(values: Sequence[float]) -> float:
    """The mean."""
    return statistics.fmean(values)


def _mean(marks: Sequence[Mark]) -> Mark:
    return Mark(mean_of([mark.loss for mark in marks]), mean_of([mark.exact for mark in marks]))


def _slug(way: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in way.lower())
