"""The stages of a training set in order: traffic, quality, duplicates, golden leaks, choice, what it covers, version.

The golden dataset is stored before the training set is, so that whatever a process lives to write was held out first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from continuum.curation.choosing import Choice, choose
from continuum.curation.control import compare
from continuum.curation.coverage import Coverage, Eligible, coverage_of
from continuum.curation.duplicates import Distinct, SemanticRule, remove_duplicates
from continuum.curation.leaks import Sealed, assert_sealed, seal
from continuum.curation.manifest import Assembled, Recipe, configuration
from continuum.curation.pool import Pool, Traffic, eligible, read_traffic
from continuum.curation.preferences import Preferences, preferences_of, spoken_of
from continuum.curation.quality import Rated
from continuum.curation.referrals import Referrals, doubts_of, refer
from continuum.curation.reopened import Heard, listen, note, remember, settle, told
from continuum.curation.version import publish_version
from continuum.dataset import Dataset
from continuum.dataset_rows import Removed
from continuum.embedding.embedder import Embedder
from continuum.errors import NotEnoughData
from continuum.partitions.workers import Workers, map_rows
from continuum.policy import TaskPolicy
from continuum.progress import Progress
from continuum.provenance.line import learned_through
from continuum.records import Example, Message
from continuum.similarity.minhash import signatures
from continuum.splits.golden import GoldenItem
from continuum.splits.golden_growth import hold_out
from continuum.timespan import start_of

if TYPE_CHECKING:
    from continuum.store.database import Store

STEPS = 7
SKETCHED_ROWS = 4096
"""Texts that a worker sketches at a time."""
SOURCES = {"human": "rated by a person", "judge": "rated by the judge", "correction": "corrected by a person"}


@dataclass(frozen=True)
class Tools:
    """What a build works with."""

    embedder: Embedder
    workers: Workers
    now: Callable[[], datetime]
    on_progress: Progress


@dataclass(frozen=True)
class Found:
    """What there is to choose from."""

    traffic: Traffic
    pool: Pool
    distinct: Distinct
    sealed: Sealed
    golden: Sequence[GoldenItem]
    golden_id: str | None
    heard: Heard

    @property
    def rows(self) -> list[Rated]:
        """The eligible ones, by id."""
        return self.sealed.kept


def assemble(store: "Store", policy: TaskPolicy, recipe: Recipe, tools: Tools) -> Dataset:
    """Build and store a training set; the one that is stored already comes back when nothing changed.

    Raises:
        NotEnoughData: fewer examples than the recipe's `min_examples` are left.
    """
    found = _find(store, policy, recipe, tools)
    tools.on_progress(4, STEPS, f"choosing {min(recipe.target_size, len(found.rows))} of {len(found.rows)} examples")
    choice = choose(
        store,
        policy,
        recipe,
        found.rows,
        found.sealed.vectors,
        found.pool.scored,
        found.traffic.sides,
        tools.embedder,
    )
    doubts = doubts_of([found.rows[one] for one in choice.waiting], found.pool.scored, recipe.min_quality_score)
    referrals = refer(store, policy.task, doubts, min_score=recipe.min_quality_score, now=tools.now)
    _require(choice, found, policy.task, recipe)
    tools.on_progress(5, STEPS, "comparing what was chosen with what could have been")
    coverage = _coverage(store, policy.task, choice, found, tools.embedder, recipe)
    built = _built(choice, coverage, referrals, _preferences(found, tools.embedder, recipe), found, recipe)
    notes = [*_notes(choice, found, recipe), *note(built.feedback)]
    tools.on_progress(6, STEPS, "writing the dataset")
    config = configuration(recipe, policy.splits, tools.embedder.id)
    dataset = publish_version(
        store,
        policy.task,
        built,
        config,
        golden=found.golden_id,
        notes=notes,
        before=lambda fingerprint: remember(store, found.heard, found.traffic, policy.task, fingerprint),
        now=tools.now,
    )
    settle(store, found.heard, found.traffic, dataset.fingerprint, tools.now())
    tools.on_progress(STEPS, STEPS, f"{dataset.name}: {len(dataset)} examples")
    return dataset


def _find(store: "Store", policy: TaskPolicy, recipe: Recipe, tools: Tools) -> Found:
    tools.on_progress(0, STEPS, "reading interactions")
    heard = listen(store, policy.task, tools.now())
    after = learned_through(store, policy.task) if recipe.only_new else 0
    traffic = read_traffic(store, policy, start_of(recipe.time_window, heard.at), after, heard.again)
    tools.on_progress(1, STEPS, f"holding out the golden side of {traffic.sides.report.interactions} interactions")
    golden = hold_out(store, policy, now=tools.now, sides=traffic.sides)
    pool = eligible(store, traffic, recipe.min_quality_score, recipe.intent_tag)
    tools.on_progress(2, STEPS, f"removing duplicates among {len(pool.good)} good answers")
    semantic = recipe.semantic_deduplication_threshold
    distinct = remove_duplicates(
        pool.good,
        recipe.deduplication_threshold,
        None if semantic is None else SemanticRule(tools.embedder, semantic),
        sketch=partial(map_rows, tools.workers, signatures, batch_rows=SKETCHED_ROWS),
    )
    tools.on_progress(3, STEPS, f"comparing {len(distinct.kept)} examples with the golden dataset")
    by_id = sorted(distinct.kept, key=lambda rated: rated.interaction.id)
    items = golden.items if golden else ()
    sealed = seal(by_id, items, tools.embedder, recipe.deduplication_threshold, sides=traffic.sides)
    return Found(traffic, pool, distinct, sealed, items, golden.fingerprint if golden else None, heard)


def _require(choice: Choice, found: Found, task: str, recipe: Recipe) -> None:
    available = min(len(found.rows), len(choice.positions)) if len(choice.positions) < recipe.target_size else len(found.rows)
    if available >= recipe.min_examples:
        return
    traffic, counts = found.traffic, found.pool.counts
    left_out = [f"{count} {stage.replace('_', ' ')}" for stage, count in counts.items() if count and stage != "seen"]
    window = f"the last {recipe.time_window}" if recipe.time_window else "all time"
    report = choice.generations
    own = report.over_cap + report.below_floor
    raise NotEnoughData(
        f"task {task!r} has {available} distinct examples scored {recipe.min_quality_score:g} or better, "
        f"{recipe.min_examples} are needed; of {len(traffic.interactions)} interactions from {window} "
        f"these were left out: {', '.join(left_out) or 'none'}; {traffic.older} are older or learned already; "
        + (f"{choice.confirmed.words(task)}; " if choice.confirmed else "")
        + (f"{own} good answers were left out because models of this task wrote them: {report.words()}; " if own else "")
        + ("lower splits.golden, " if 2 * counts["golden"] > len(traffic.interactions) else "")
        + "capture or annotate more, widen time_window or lower min_quality_score",
        available=available,
        needed=recipe.min_examples,
    )


def _coverage(store: "Store", task: str, choice: Choice, found: Found, embedder: Embedder, recipe: Recipe) -> Coverage:
    previous, rows = store.datasets.latest(task), found.rows
    eligible_rows = Eligible(
        vectors=found.sealed.vectors,
        scores=np.array([rated.score for rated in rows]),
        texts=[_asked(rated.interaction.messages) for rated in rows],
        intents=[rated.intent for rated in rows],
        traffic=np.array([1 + len(found.distinct.replaces[rated.interaction.id]) for rated in rows]),
    )
    return coverage_of(
        eligible_rows,
        choice.positions,
        embedder.id,
        control=choice.control or None,
        previous=previous.manifest.get("coverage") if previous else None,
        seed=recipe.seed,
    )


def _asked(messages: Sequence[Message]) -> str:
    """The last thing a user said: what a reader recognises an intent by."""
    return next((message.text for message in reversed(messages) if message.role == "user"), messages[-1].action)


def _preferences(found: Found, embedder: Embedder, recipe: Recipe) -> Preferences:
    """From all that people spoke of, poor answers too; none of it may repeat a golden question either."""
    spoken = spoken_of(found.pool.scored)
    apart = seal(spoken, found.golden, embedder, recipe.deduplication_threshold)
    return preferences_of(apart.kept, found.traffic.sides)


def _built(
    choice: Choice, coverage: Coverage, referrals: Referrals, preferences: Preferences, found: Found, recipe: Recipe
) -> Assembled:
    rows, control = found.rows, None
    example = partial(_example, rows, found, coverage)
    examples = [
        example(position, _reason(rows[position], place, len(rows), recipe))
        for place, position in enumerate(choice.positions, start=1)
    ]
    drawn = [example(position, f"drawn at random as a control among {len(rows)}") for position in choice.control]
    if drawn:
        labels = [one.intent for one in rows] if coverage.by == "intent" else [str(cluster) for cluster in coverage.assigned]
        scores = np.array([rated.score for rated in rows])
        control = compare(choice.positions, choice.control, labels, scores, choice.uncertainty).as_dict()
    # The answer that was rejected has an interaction of its own.
    rejected = [pair.model_copy(update={"interaction_id": pair.rejected_id}) for pair in preferences.pairs]
    written = [*examples, *drawn, *preferences.pairs, *rejected, *preferences.answers]
    checked = assert_sealed(written, found.golden, common=found.traffic.sides.common)
    reports: dict[str, dict[str, Any] | None] = {
        "coverage": coverage.as_dict(),
        "decontamination": found.sealed.report | {"written": checked},
        "generations": choice.generations.as_dict(),
        "control": control,
        "referrals": referrals.as_dict() | ({"waiting": len(choice.waiting)} if choice.confirmed else {}),
        "uncertainty": choice.evidence,
    }
    return Assembled(
        found.traffic,
        found.pool,
        found.distinct,
        found.sealed,
        examples,
        preferences=preferences.pairs,
        rated_answers=preferences.answers,
        control=drawn,
        removed=_removed(found),
        feedback=told(found.heard, found.traffic.again, examples),
        reports={name: report for name, report in reports.items() if report is not None},
    )


def _notes(choice: Choice, found: Found, recipe: Recipe) -> list[str]:
    """What a reader must know before trusting the version."""
    report, notes = found.traffic.sides.report, []
    if found.golden_id is None:
        notes.append("nothing is held out to measure a model that learns from this: there is no golden item yet")
    if report.oversized_groups:
        largest = max(report.oversized_groups.values())
        notes.append(
            f"{len(report.oversized_groups)} groups are too large to be held out, the largest with {largest} interactions: they "
            "share a conversation, a beginning or near-equal texts, and all of each is trained on"
        )
    if refused := sum(report.refused.values()):
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.refused.items())
        notes.append(f"{refused} values do not link interactions because too many share them ({kinds})")
    if recipe.control and not choice.control:
        notes.append("there is no random control: everything eligible was taken")
    return notes


def _removed(found: Found) -> list[Removed]:
    twins: dict[str, str] = found.sealed.report["near_golden"]["golden_item_of"]
    return [
        Removed(interaction_id=one, stage="near_golden", reason="a golden question is nearly the same", kept_id=item)
        for one, item in twins.items()
    ]


def _example(rows: Sequence[Rated], found: Found, coverage: Coverage, position: int, reason: str) -> Example:
    rated, sides = rows[position], found.traffic.sides
    interaction = rated.interaction
    return Example(
        interaction_id=interaction.id,
        messages=interaction.messages,
        response=rated.response,
        score=rated.score,
        score_source=rated.score_source,
        split="validation" if sides.side[interaction.id] == "validation" else "train",
        group=sides.group[interaction.id],
        intent=rated.intent,
        cluster=int(coverage.assigned[position]),
        generation=rated.generation,
        duplicates=found.distinct.replaces[interaction.id],
        reason=reason,
    )


def _reason(rated: Rated, place: int, eligible_rows: int, recipe: Recipe) -> str:
    because = f"scored {rated.score:g}, {SOURCES[rated.score_source]}"
    if recipe.strategy == "uncertainty" and rated.score_source == "judge":
        because += " and confirmed by a second"
    if recipe.target_size >= eligible_rows:
        return f"{because}; all {eligible_rows} eligible examples fit"
    return f"{because}; choice {place} of {recipe.target_size} by {recipe.strategy} among {eligible_rows}"
