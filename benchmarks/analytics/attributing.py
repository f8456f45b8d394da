"""A harmful cluster is planted in what a model newly learns: is it among the first three that the attribution calls hurt?

A champion knows two dozen intents. Its candidate learns new examples of all of them, and those of one intent, drawn for each
seed, all have the answer to another. Golden items are right where the model gives the very answer of their intent. Nothing tells
the attribution what an intent is: it sees texts, and scores before and after.

| model under study | what is trained |
|---|---|
| a classifier | ridge regression from hashed words to answers, anew on old and new examples together |
| a tiny language model | the product's own LoRA training, continued from the champion's; whole run only |

The questions are a shop's, each intent in one phrase with many beginnings and ends; with `--data` a bank's, as people asked them.
The bank's that are made up for want of them share their words between intents: by words alone such questions cannot be told
apart, which the whole run shows and claims nothing of.

Each candidate has a twin that learned the same examples with all answers right: whom the attribution calls harmful there, it
calls so falsely. The embedder is the one that users have unless they name another.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.queries import Queries, bank_queries
from continuum.analytics.attribution import Attribution, ClusterGain, attribute
from continuum.dataset import Dataset
from continuum.demo.world import Intent, World
from continuum.embedding.embedder import HashedEmbedder
from continuum.records import Checkpoint, DatasetRecord, Example, Message
from continuum.splits.golden import GoldenItem
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem

SEEDS, SEEDS_TUNED = 20, 10
NAMED, GOAL = 3, 0.9
CERTAIN, ALARMS = 0.95, 0.1
INTENTS = 24
OLD, NEW, ASKED = 10, 20, 10
"""Of each intent: examples that the champion learned, new ones, and golden items."""
RIDGE = 1.0
LESSONS, NEW_LESSONS, QUESTIONS = 6, 8, 8
"""The same of the tiny language model."""
FIRST_EPOCHS, EPOCHS = 12, 4
TASK = "study"
SHOWN = 10
"""Examples of a cluster that a person would look at."""


@dataclass(frozen=True)
class Case:
    """One candidate beside its champion."""

    examples: Sequence[Example]
    """What it newly learned; an example's intent is what was asked."""
    items: Sequence[GoldenItem]
    before: dict[str, float | None]
    after: dict[str, float | None]
    harmful: str | None
    """The intent whose answers are wrong; None of a twin that learned right answers alone."""

    def harm(self, cluster: ClusterGain) -> float:
        """The share of what is wrong that a cluster holds, 0 to 1."""
        wrong = {one.interaction_id for one in self.examples if one.intent == self.harmful}
        return len(wrong & set(cluster.example_ids)) / len(wrong)


@dataclass
class Tally:
    """What became of the seeds of one model under study."""

    seeds: int = 0
    named: int = 0
    """Seeds with the planted cluster among the first three."""
    seen: int = 0
    """Seeds where of the first ten examples of one of these three most are wrong."""
    raw: int = 0
    chance: float = 0.0
    harm: float = 0.0
    """Sum over seeds of the change on the planted intent."""
    twins: int = 0
    alarmed: int = 0
    """Twins of which some cluster is called harmful."""
    raw_alarmed: int = 0
    called: int = 0
    clusters: int = 0
    """Ranked clusters of twins, and how many of them are called harmful."""

    def planted(self, case: Case, found: Attribution) -> None:
        """Count one seed with a harmful cluster: the one that holds most of what is wrong."""
        there = [one for one in found.clusters if one.examples]
        most = max(map(case.harm, there))
        culprits = [one for one in there if case.harm(one) == most]
        wrong = {one.interaction_id for one in case.examples if one.intent == case.harmful}
        three = found.hurt(NAMED)
        measured = sorted((one for one in there if one.measured is not None), key=lambda one: one.measured or 0.0)
        changes = [_change(case, item) for item in case.items if item.slice == case.harmful]
        self.seeds += 1
        self.named += any(one in culprits for one in three)
        self.seen += any(2 * len(wrong.intersection(one.example_ids[:SHOWN])) > len(one.example_ids[:SHOWN]) for one in three)
        self.raw += any(one in culprits for one in measured[:NAMED])
        self.chance += min(1.0, NAMED / len(there))
        self.harm += sum(changes) / len(changes)

    def clean(self, found: Attribution) -> None:
        """Count one twin: nothing in it is wrong."""
        ranked = [one for one in found.clusters if one.ranked]
        called = sum(one.probability_harmful > CERTAIN for one in ranked)
        self.twins += 1
        self.alarmed += called > 0
        self.raw_alarmed += any((one.measured or 0.0) < 0 for one in ranked)
        self.called += called
        self.clusters += len(ranked)


def measure(setting: Setting) -> Result:
    """The classifier on every run, and the tiny language model on the whole one."""
    seeds = range(setting.seed, setting.seed + SEEDS)
    queries = bank_queries(setting)
    asked = shop_queries(setting.seed) if queries.made_up else queries
    claimed = {f"a classifier, {'a shop, made up' if queries.made_up else 'banking77'}": classified(setting.seed, seeds, asked)}
    shared: dict[str, Iterator[Case]] = {}
    if not setting.quick:
        claimed["a tiny language model, LoRA, a shop"] = tuned(setting, seeds[:SEEDS_TUNED])
        if queries.made_up:
            shared["a classifier, intents that share words"] = classified(setting.seed, seeds, queries)
    shown = table(
        f"Seeds with the harmful cluster among the first {NAMED} named; and without harm, with a cluster that is called harmful",
        *("model under study", "seeds", "change", "ours", "raw means", "random", "seen"),
        *("called", "clusters", "raw means"),
    )
    entries = []
    for name, cases in (claimed | shared).items():
        tally = tallied(setting, name, cases)
        shown.add_row(
            *(name, f"{tally.seeds}", f"{tally.harm / tally.seeds:+.2f}"),
            *(f"{tally.named}", f"{tally.raw}", f"{tally.chance:.1f}", f"{tally.seen}"),
            *(f"{tally.alarmed}", f"{tally.called} of {tally.clusters}", f"{tally.raw_alarmed}"),
        )
        if name in claimed:
            entries += [
                Entry.of_value(
                    f"planted harmful cluster, {tally.seeds} seeds: among the first {NAMED} named, beside raw means: {name}",
                    *(tally.named, ">=", GOAL * tally.seeds, tally.raw),
                ),
                Entry.of_value(
                    f"share of {tally.twins} seeds without harm where a cluster is called harmful at {CERTAIN:g}: {name}",
                    *(tally.alarmed / tally.twins, "<=", ALARMS, tally.raw_alarmed / tally.twins),
                ),
            ]
    notes = [
        "the planted cluster is the one that holds most of the wrong examples; raw means are not shrunk, and every cluster with "
        "a golden item is ranked by them; by raw means a cluster is called harmful where its mean is below 0",
        f"change: on the planted intent; seen: of the first {SHOWN} examples of one of the {NAMED} named, most are wrong",
    ]
    if setting.quick:
        notes.append("the model under study is a classifier, trained for real; a language model is trained in the whole run")
    return Result(entries, shown, notes)


def tallied(setting: Setting, name: str, cases: Iterator[Case]) -> Tally:
    """Attribute each case through a store, as a user would."""
    tally = Tally()
    folder = setting.folder / "".join(letter for letter in name if letter.isalnum())
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'continuum.db'}")
    try:
        for number, case in enumerate(cases):
            setting.say(f"attributing: {name}, case {number + 1}")
            found = attributed(store, folder, number, case)
            if case.harmful is None:
                tally.clean(found)
            else:
                tally.planted(case, found)
    finally:
        store.close()
    return tally


def attributed(store: Store, folder: Path, number: int, case: Case) -> Attribution:
    """What the product says of one case, each of which is a line of its own; the number is its seed too."""
    candidate = _in_store(store, folder, number, case.examples)
    scores = (case.before, case.after)
    return attribute(store, TASK, case.items, *scores, candidate=candidate, embedder=HashedEmbedder(), seed=number)


# --- a classifier ------------------------------------------------------------------------------------------------


def shop_queries(seed: int) -> Queries:
    """The shop's questions, each intent in one phrase; no text is both in training and in test."""
    rng, world = random.Random(seed), World()
    rows = [(text, intent.topic) for intent in world.intents for text in one_phrase(world, intent, rng, OLD + NEW + ASKED)]
    train, test = (
        [row for place, row in enumerate(rows) if (place % (OLD + NEW + ASKED) < ASKED) == asked] for asked in (False, True)
    )
    return Queries(*_columns(train), *_columns(test), made_up=True)


def one_phrase(world: World, intent: Intent, rng: random.Random, count: int) -> list[str]:
    """So many different sentences."""
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[world.sentence(intent, 0, rng)] = None
    return list(texts)


def _columns(rows: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [text for text, _ in rows], [intent for _, intent in rows]


def classified(run: int, seeds: Sequence[int], queries: Queries) -> Iterator[Case]:
    """For each seed a candidate with a harmful cluster and its twin."""
    for seed in seeds:
        yield from _classified(queries, np.random.default_rng((run, seed)))


def _classified(queries: Queries, rng: np.random.Generator) -> Iterator[Case]:
    names = sorted(set(queries.intents) & set(queries.test_intents))
    intents = [names[place] for place in rng.permutation(len(names))[:INTENTS]]
    old, new, asked = [], [], []
    for intent in intents:
        rows = rng.permutation(np.flatnonzero(np.array(queries.intents) == intent)).tolist()
        old += rows[:OLD]
        new += rows[OLD : OLD + NEW]
        asked += rng.permutation(np.flatnonzero(np.array(queries.test_intents) == intent)).tolist()[:ASKED]
    # Another hash than the attribution's, so that the two do not see the same.
    embedder = HashedEmbedder(seed=1)
    vectors = embedder.embed([queries.texts[row] for row in [*old, *new]])
    questions = embedder.embed([queries.test_texts[row] for row in asked])
    items = [_item(queries.test_texts[row], queries.test_intents[row]) for row in asked]
    right = [queries.intents[row] for row in [*old, *new]]
    harmful, given = (intents[place] for place in rng.permutation(len(intents))[:2])
    wrong = right[: len(old)] + [given if intent == harmful else intent for intent in right[len(old) :]]
    before = _scores(items, answers(vectors[: len(old)], right[: len(old)], questions))
    for told, planted in ((wrong, harmful), (right, None)):
        examples = [
            _example(queries.texts[row], queries.intents[row], said) for row, said in zip(new, told[len(old) :], strict=True)
        ]
        yield Case(examples, items, before, _scores(items, answers(vectors, told, questions)), planted)


def answers(vectors: np.ndarray, told: Sequence[str], asked: np.ndarray) -> list[str]:
    """What a ridge regression on these examples answers."""
    names = sorted(set(told))
    targets = np.eye(len(names))[[names.index(one) for one in told]]
    weights = np.linalg.solve(vectors.T @ vectors + RIDGE * np.eye(vectors.shape[1]), vectors.T @ targets)
    return [names[place] for place in (asked @ weights).argmax(axis=1)]


def _scores(items: Sequence[GoldenItem], said: Sequence[str]) -> dict[str, float | None]:
    return {item.interaction_id: float(answer == item.slice) for item, answer in zip(items, said, strict=True)}


# --- a tiny language model ---------------------------------------------------------------------------------------


def tuned(setting: Setting, seeds: Sequence[int]) -> Iterator[Case]:
    """One champion, and for each seed a candidate with a harmful cluster and its twin; all are trained."""
    from benchmarks.training.corpus import FIRST, WORLD, build_corpus_base  # torch starts here

    setting.say("attributing: the base and the champion")
    base, champion = build_corpus_base(setting.folder / "base", seed=setting.seed), setting.folder / "champion"
    rng = random.Random(setting.seed)
    told = [_example(text, one.topic, one.answer) for one in FIRST for text in one_phrase(WORLD, one, rng, LESSONS)]
    _train(base, champion, told, FIRST_EPOCHS, setting.seed, None)
    old = {row.prompt for row in told}
    for seed in seeds:
        rng = random.Random(f"{setting.seed} {seed}")
        harmful, given = rng.sample(FIRST, 2)
        right, wrong, asked = [], [], []
        for one in FIRST:
            texts = [text for text in one_phrase(WORLD, one, rng, LESSONS + NEW_LESSONS + QUESTIONS) if text not in old]
            asked += [_example(text, one.topic, one.answer) for text in texts[:QUESTIONS]]
            learned = texts[QUESTIONS : QUESTIONS + NEW_LESSONS]
            right += [_example(text, one.topic, one.answer) for text in learned]
            wrong += [_example(text, one.topic, (given if one == harmful else one).answer) for text in learned]
        items = [_item(row.prompt, str(row.intent)) for row in asked]
        before = _exact(base, champion, asked)
        for told, planted in ((wrong, harmful.topic), (right, None)):
            candidate = setting.folder / f"candidate-{seed}-{planted is None}"
            _train(base, candidate, rng.sample(told, len(told)), EPOCHS, seed, champion)
            yield Case(told, items, before, _exact(base, candidate, asked), planted)


def _train(base: Path, folder: Path, rows: Sequence[Example], epochs: int, seed: int, parent: Path | None) -> None:
    from benchmarks.training.sequence import PLAIN
    from continuum.progress import silent
    from continuum.training.job import Inputs, Job, write_job
    from continuum.training.loop import run_job
    from continuum.training.reporting import ProgressEvents

    job = Job(
        task=TASK,
        base_model=str(base),
        config=PLAIN.model_copy(update={"epochs": epochs, "seed": seed}),
        dataset=folder.name,
        artifact=str(folder / "artifact"),
        parent=str(parent / "artifact") if parent else None,
    )
    write_job(folder, job, Inputs(train=tuple(rows)))
    run_job(folder, ProgressEvents(silent))


def _exact(base: Path, folder: Path, asked: Sequence[Example]) -> dict[str, float | None]:
    """Whether each answer is right word for word."""
    from peft import PeftModel

    from benchmarks.training.corpus import said_exactly
    from continuum.models.chat_format import encode_turns
    from continuum.models.local import load_base, load_tokenizer, pad_id, quiet_peft

    tokenizer = load_tokenizer(base)
    with quiet_peft():
        model = PeftModel.from_pretrained(load_base(base), str(folder / "artifact"))
    rows = encode_turns(tokenizer, [(row.messages, row.response) for row in asked])
    exact = said_exactly(model, rows, pad_id(tokenizer))
    return {_id(row.prompt): float(one) for row, one in zip(asked, exact, strict=True)}


# --- records -----------------------------------------------------------------------------------------------------


def _item(text: str, intent: str) -> GoldenItem:
    return GoldenItem(interaction_id=_id(text), messages=(Message(role="user", content=text),), group=text, slice=intent)


def _id(text: str) -> str:
    return f"golden {text}"


def _example(text: str, intent: str, said: str) -> Example:
    return Example(
        interaction_id=text,
        messages=(Message(role="user", content=text),),
        response=Message(role="assistant", content=said),
        score=5.0,
        score_source="judge",
        group=text,
        intent=intent,
        reason="drawn",
    )


def _in_store(store: Store, folder: Path, number: int, examples: Sequence[Example]) -> Checkpoint:
    # The attribution is not to read the intents.
    unnamed = [example.model_copy(update={"intent": None}) for example in examples]
    place = folder / f"dataset-{number}"
    Dataset(unnamed, {"task": TASK}).write(place)
    record = DatasetRecord(
        id=place.name, task=TASK, name=f"{TASK}_training_v{number}", version=number, uri=str(place), manifest={}
    )
    store.datasets.add(record, [DatasetItem(interaction_id=one.interaction_id, split="train") for one in unnamed])
    checkpoint = Checkpoint(task=TASK, version=number, base_model="tiny", uri="nowhere", dataset_id=record.id)
    store.checkpoints.add(checkpoint)
    return checkpoint


def _change(case: Case, item: GoldenItem) -> float:
    return (case.after[item.interaction_id] or 0.0) - (case.before[item.interaction_id] or 0.0)
