"""What a candidate can still do beside its task: general text, and what its line learned before.

Each document is put to the candidate and to the baseline, and the difference is tested document by document. A loss in nats has
no scale that ends, so what is compared is the candidate's share of the probability that both give to a token of the document:
e^-c / (e^-c + e^-b) for losses of c and b nats a token, 0.5 where they are equal, from 0 to 1, and more is better. It falls by
0.0125 for 0.05 nats a token that are lost. What the baseline does not know it cannot lose. The nats stand beside it.

The baseline is the champion, or before there is one the base model without an adapter.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from continuum.guard.general_texts import fingerprint_of, general_texts
from continuum.guard.pairs import Gate, Pairs
from continuum.models.answering import Answerer, LossMeasurer, TextMeasurer
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.earlier import Learned, held_out, line_of_datasets
from continuum.provenance.lineage import trained_ids
from continuum.records import Checkpoint

if TYPE_CHECKING:
    from continuum.store.database import Store

PREFIX = "capability:"
"""Before the name of a measure: the metric of its pairs."""
GENERAL = "general text"
TRANSFORM = "e^-c / (e^-c + e^-b) of c nats a token by the candidate and b by the baseline: 0 to 1, equal at 0.5"
EQUAL = 0.5
"""The baseline's share beside itself."""
CHUNK = 64
"""Documents that are measured between two words on how far it is."""
LITTLE = 0.01
"""A baseline that gives a text's tokens less probability than this (4.6 nats) does not know such text and cannot lose it."""

Measure = Callable[[Checkpoint | None, int, int], Awaitable[list[float]]]
"""The losses of a model on the documents from one place up to another."""


@dataclass(frozen=True)
class TextLoss:
    """Losses on one set of documents, in nats a token: means over groups."""

    candidate: float | None
    """None where it is not a number: the model is broken."""
    baseline: float | None
    base: float | None
    """The base without an adapter."""
    change: float | None
    """Candidate minus baseline: above 0 is worse."""
    low: float | None
    """Lower end of the two-sided 95% interval of `change`; None with a single group."""
    high: float | None
    documents: int
    groups: int
    fingerprint: str
    """A sha256 over the documents."""
    nats: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    """`candidate`, `baseline` and `base` to the loss on each document, which the means are of; None where it is not a number."""


@dataclass(frozen=True)
class Capability:
    """What was measured beside the task."""

    baseline: str
    """A checkpoint's id, or the base model's name."""
    pairs: tuple[Pairs, ...] = ()
    losses: dict[str, TextLoss] = field(default_factory=dict)
    """What was read, such as `general text` or a dataset's name, to its losses."""
    notes: tuple[str, ...] = ()

    def evidence(self) -> dict[str, Any]:
        """All of it but the pairs, as plain JSON."""
        return {
            "baseline": self.baseline,
            "transform": TRANSFORM,
            "losses": {name: asdict(loss) for name, loss in self.losses.items()},
            "notes": list(self.notes),
        }


async def capability(
    store: "Store",
    policy: TaskPolicy,
    candidate: Checkpoint,
    champion: Checkpoint | None,
    answerer: Answerer,
    *,
    on_progress: Progress = silent,
) -> Capability:
    """Measure a candidate and its baseline on what lies beside the task.

    Args:
        store: where the line of models and its datasets are recorded.
        policy: of the task; its `guard` names texts and tasks of its own.
        candidate: the checkpoint to measure.
        champion: the baseline; None for the base without an adapter.
        answerer: how models are asked; one that sees no probabilities yields a note and no pairs.
        on_progress: called as documents are read.

    Raises:
        ConfigurationError: the policy names texts or tasks that cannot be read.
        MissingExtra: the policy names lm-eval tasks and the extra is not installed.
    """
    reader = _Reader(candidate, champion, on_progress)
    notes: list[str] = []
    if isinstance(answerer, TextMeasurer):
        await _read_general(reader, answerer, policy)
    else:
        notes.append(f"{type(answerer).__name__} sees no probabilities of plain text, so general text was not measured")
    earlier, left = _earlier(store, candidate, champion)
    notes += left
    if earlier and isinstance(answerer, LossMeasurer):
        for learned in earlier:
            await _read_learned(reader, answerer, learned)
    elif earlier:
        notes.append(f"{type(answerer).__name__} sees no probabilities, so what was learned earlier was not measured")
    pairs = [*reader.pairs]
    if policy.guard.lm_eval_tasks:
        from continuum.guard.lm_eval import task_pairs

        found, left = await task_pairs(policy.guard, candidate, champion, answerer, on_progress=on_progress)
        pairs += found
        notes += left
    baseline = champion.id if champion else candidate.base_model
    return Capability(baseline, tuple(pairs), reader.losses, (*notes, *reader.notes))


class _Reader:
    """Puts sets of documents to the candidate, the baseline and the base."""

    def __init__(self, candidate: Checkpoint, champion: Checkpoint | None, on_progress: Progress) -> None:
        self.candidate = candidate
        self.champion = champion
        self.on_progress = on_progress
        self.pairs: list[Pairs] = []
        self.losses: dict[str, TextLoss] = {}
        self.notes: list[str] = []

    async def read(self, name: str, groups: Sequence[str], texts: Sequence[str], measure: Measure) -> None:
        """Measure one set.

        Args:
            name: what it is called.
            groups: the group of each document.
            texts: what tells the documents from others.
            measure: the losses of some of them.
        """
        from continuum.guard.decision import MIN_GROUPS  # scipy starts here

        after = await self._losses(name, self.candidate, len(groups), measure)
        base = await self._losses(name, None, len(groups), measure)
        before = base if self.champion is None else await self._losses(name, self.champion, len(groups), measure)
        self.losses[name] = text_loss(groups, after, before, base, fingerprint_of(texts))
        if len(set(groups)) < MIN_GROUPS:
            self.notes.append(
                f"{name} has {len(set(groups))} independent groups, {MIN_GROUPS} are needed for a test: its losses are reported "
                "and decide nothing"
            )
            return
        known = sum(math.exp(-nats) for nats in before if math.isfinite(nats)) / len(before)
        if known < LITTLE:
            self.notes.append(
                f"the baseline gives the tokens of {name} a probability of {known:.4f}: it does not know such text and cannot "
                "lose it, so the losses are reported and decide nothing"
            )
            return
        pairs = Pairs(
            metric=PREFIX + name,
            groups=tuple(groups),
            baseline=(EQUAL,) * len(groups),
            candidate=tuple(share(new, old) for new, old in zip(after, before, strict=True)),
            eligible=len(groups),
            gate=Gate.CAPABILITY,
            part=name,
        )
        self.pairs.append(pairs)

    async def _losses(self, name: str, model: Checkpoint | None, count: int, measure: Measure) -> list[float]:
        called = model.name if model else "the base"
        losses: list[float] = []
        for start in range(0, count, CHUNK):
            self.on_progress(start, count, f"{called}: {name}")
            losses += await measure(model, start, min(start + CHUNK, count))
        return losses


def share(candidate: float, baseline: float) -> float:
    """The candidate's share of the probability that both give to a token, 0 to 1.

    Args:
        candidate: its loss on a document, in nats a token; one that is no number is all probability lost.
        baseline: the baseline's.
    """
    if math.isnan(candidate) or math.isnan(baseline):
        return EQUAL if math.isnan(candidate) and math.isnan(baseline) else float(math.isnan(baseline))
    if candidate == baseline:
        return EQUAL  # Also where both are infinite.
    return 1 / (1 + math.exp(min(candidate - baseline, 700.0)))


async def _read_general(reader: _Reader, answerer: TextMeasurer, policy: TaskPolicy) -> None:
    documents = general_texts(policy.guard.general_texts)
    texts = [document.text for document in documents]

    async def measure(model: Checkpoint | None, start: int, end: int) -> list[float]:
        return await answerer.text_loss(model, texts[start:end])

    await reader.read(GENERAL, [document.id for document in documents], texts, measure)


async def _read_learned(reader: _Reader, answerer: LossMeasurer, learned: Learned) -> None:
    turns = [(row.messages, row.response) for row in learned.rows]

    async def measure(model: Checkpoint | None, start: int, end: int) -> list[float]:
        return await answerer.loss(model, turns[start:end])

    texts = [row.model_dump_json(include={"messages", "response"}) for row in learned.rows]
    await reader.read(learned.name, [row.group for row in learned.rows], texts, measure)


def _earlier(store: "Store", candidate: Checkpoint, champion: Checkpoint | None) -> tuple[list[Learned], list[str]]:
    """What the champion's line and the candidate's learned before the candidate's own dataset, and words on what is missing."""
    line = dict.fromkeys([*reversed(line_of_datasets(store, champion)), *reversed(line_of_datasets(store, candidate))])
    line.pop(candidate.dataset_id, None)
    trained = trained_ids(store, candidate) | (trained_ids(store, champion) if champion else set())
    learned, gone = held_out(store, line, trained | store.datasets.member_ids(candidate.task, "golden"))
    notes = [f"what was learned from {name} was not measured: its files are gone" for name in gone]
    kept: list[Learned] = []
    for one in learned:
        present = store.interactions.get_many(row.interaction_id for row in one.rows)
        rows = tuple(row for row in one.rows if row.interaction_id in present)
        if erased := len(one.rows) - len(rows):
            notes.append(f"{erased} validation rows of {one.name} were erased since and left out")
        if rows:
            kept.append(Learned(one.fingerprint, one.name, rows))
        else:
            notes.append(f"what was learned from {one.name} was not measured: it has no validation row that may be used")
    return kept, notes


def text_loss(
    groups: Sequence[str], after: Sequence[float], before: Sequence[float], base: Sequence[float], fingerprint: str
) -> TextLoss:
    """What the losses of the candidate, the baseline and the base on the same documents come to, in nats a token."""
    from continuum.statistics.means import estimate  # numpy and scipy start here

    def mean(values: Sequence[float]) -> float | None:
        return estimate(values, groups).mean if all(math.isfinite(value) for value in values) else None

    change = low = high = None
    differences = [new - old for new, old in zip(after, before, strict=True)]
    if all(math.isfinite(value) for value in differences):
        found = estimate(differences, groups)
        change, low, high = found.mean, found.low, found.high
    return TextLoss(
        candidate=mean(after),
        baseline=mean(before),
        base=mean(base),
        change=change,
        low=low,
        high=high,
        documents=len(groups),
        groups=len(set(groups)),
        fingerprint=fingerprint,
        nats={
            name: tuple(value if math.isfinite(value) else None for value in values)
            for name, values in (("candidate", after), ("baseline", before), ("base", base))
        },
    )
