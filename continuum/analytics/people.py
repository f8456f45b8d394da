"""What people say of each model's answers, and whether the judge says the same.

People speak in two places: of answers to golden items, not knowing whose they are (the guard's audit), and of answers that were
given to them (feedback, and labels that were asked for). The first are of the same questions for all models, so they are taken
where there are enough; the second are of whatever each model was asked, and are compared unpaired.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from continuum.analytics.arms import HUMAN, PRODUCTION, Contender
from continuum.analytics.beside import Reading
from continuum.analytics.bounded import bounded_difference, bounded_mean
from continuum.analytics.gains import as_gain, gain_of
from continuum.models.asking import said_hash
from continuum.records import Feedback, Interaction, Message
from continuum.splits.golden import GoldenItem
from continuum.splits.ratings import GOOD_SCORE, human_rating

if TYPE_CHECKING:
    from continuum.store.database import Store

LEAST = 10
"""Answers that people must have spoken of, and groups they come from, for a figure."""
AGREES = HUMAN
"""Share of a model's answers that the judge and people both call good, or both do not."""
SCORES = "human_score"
"""What people give a model's answers on average, 0 to 1."""
GOOD = (GOOD_SCORE - 1) / 4
"""From here up an answer is good, on the scale from 0 to 1."""


@dataclass(frozen=True)
class Said:
    """What people and the judge said of one answer, both from 0 to 1; None for a judge who said nothing."""

    item: str
    group: str
    people: float
    judge: float | None

    @property
    def agrees(self) -> float | None:
        """1 where both call it good or neither does; None without the judge."""
        return None if self.judge is None else float((self.people >= GOOD) == (self.judge >= GOOD))


def human_readings(
    store: "Store",
    task: str,
    contenders: Sequence[Contender],
    items: Sequence[GoldenItem],
    answers: Mapping[str, Sequence[Message | None]],
    scores: Mapping[str, Mapping[str, Sequence[float | None]]],
    reference: str,
) -> list[Reading]:
    """How often the judge agrees with people on each model's answers, and how people score them.

    Args:
        store: where labels and feedback are.
        task: whose.
        contenders: the models.
        items: what all of them were asked.
        answers: each model's answers to the items, as people would have seen them.
        scores: each model's scores of them by the judge's metrics, 0 to 1.
        reference: what gains are measured from where it has data; else production.
    """
    audited = {name: _audited(store, items, answers[name], scores[name]) for name in answers}
    live = _live(store, task, contenders)
    by_model: dict[str, tuple[str, list[Said]]] = {}
    for contender in contenders:
        own, spoken = audited.get(contender.name, []), live.get(contender.name, [])
        if len(own) >= LEAST:
            by_model[contender.name] = f"{len(own)} answers to golden items that people scored without knowing whose", own
        else:
            by_model[contender.name] = f"{len(spoken)} answers in traffic that people scored", spoken
    pairable = {name for name, own in audited.items() if len(own) >= LEAST}
    return [
        _reading(label, agreement, model, by_model, pairable, reference)
        for label, agreement in ((AGREES, True), (SCORES, False))
        for model in by_model
    ]


def _reading(
    label: str,
    agreement: bool,
    model: str,
    by_model: Mapping[str, tuple[str, list[Said]]],
    pairable: set[str],
    reference: str,
) -> Reading:
    on, _ = by_model[model]
    ours = _values(by_model[model][1], agreement)
    groups = {group for _, group, _ in ours}
    if len(ours) < LEAST or len(groups) < LEAST:
        what = " and the judge" if agreement else ""
        return Reading(HUMAN, label, model, f"people{what} spoke of {len(ours)} of its answers, {LEAST} are needed")
    value = bounded_mean([one for _, _, one in ours], [group for _, group, _ in ours])
    others = {name: _values(by_model[name][1], agreement) for name in (reference, PRODUCTION) if name in by_model}
    against = next((name for name, said in others.items() if len(said) >= LEAST), None)
    if against is None or against == model:
        return Reading(HUMAN, label, model, on, value)
    theirs = others[against]
    if {model, against} <= pairable:
        mine, other = ({item: (group, one) for item, group, one in side} for side in (ours, theirs))
        shared = sorted({*mine, *other})
        group_of = {item: pair[0] for side in (other, mine) for item, pair in side.items()}
        gain = gain_of(
            [mine[item][1] if item in mine else None for item in shared],
            [other[item][1] if item in other else None for item in shared],
            [group_of[item] for item in shared],
        )
    else:
        columns = ([one for _, _, one in side] for side in (ours, theirs))
        names = ([group for _, group, _ in side] for side in (ours, theirs))
        (a, b), (of_a, of_b) = columns, names
        gain = as_gain(bounded_difference(a, of_a, b, of_b), paired=False)
    return Reading(HUMAN, label, model, on, value, gain, against if gain else "")


def _values(said: Sequence[Said], agreement: bool) -> list[tuple[str, str, float]]:
    """Item, group and value of each answer that has one."""
    found = ((one.item, one.group, one.agrees if agreement else one.people) for one in said)
    return [(item, group, value) for item, group, value in found if value is not None]


def _audited(
    store: "Store",
    items: Sequence[GoldenItem],
    answers: Sequence[Message | None],
    scores: Mapping[str, Sequence[float | None]],
) -> list[Said]:
    """What people said of a model's answers to golden items, by the metrics that they and the judge both scored."""
    names = {
        n: said_hash([*item.messages, answer]) for n, (item, answer) in enumerate(zip(items, answers, strict=True)) if answer
    }
    by_metric = {metric: store.golden_labels.of(set(names.values()), metric) for metric in scores}
    found = []
    for n, name in names.items():
        people = {metric: fmean(said[name].values()) for metric, said in by_metric.items() if name in said}
        if people:
            judged = [score for metric in people if (score := scores[metric][n]) is not None]
            judge = fmean(judged) if len(judged) == len(people) else None
            found.append(Said(items[n].interaction_id, items[n].group, fmean(people.values()), judge))
    return found


def _live(store: "Store", task: str, contenders: Sequence[Contender]) -> dict[str, list[Said]]:
    """What people said of answers that a model gave them, by the model's name."""
    spoken: dict[str, list[Feedback]] = defaultdict(list)
    for interaction_id, feedback in store.feedback.of_task(task):
        spoken[interaction_id].append(feedback)
    raters, judged, calls = store.raters.of(task), store.annotations.of(spoken), store.interactions.get_many(spoken)
    deployed = {one.id: one for one in store.deployments.of(task)}
    version_of = {c.checkpoint.id: c.name for c in contenders if c.checkpoint}
    by_serving_name = {c.checkpoint.name: c.name for c in contenders if c.checkpoint}
    tuned = {one.model for one in deployed.values()}

    def model_of(call: Interaction) -> str | None:
        deployment = deployed.get(call.deployment_id or "")
        if deployment is not None and (call.variant == "canary" or call.model == deployment.model):
            return version_of.get(deployment.checkpoint_id)
        if call.model in tuned or call.model in by_serving_name:
            return by_serving_name.get(call.model or "")
        return PRODUCTION

    found: dict[str, list[Said]] = defaultdict(list)
    for interaction_id in sorted(calls):
        call, said = calls[interaction_id], sorted(spoken[interaction_id], key=lambda one: (one.recorded_at, one.id))
        score = human_rating(said, raters).score
        name = model_of(call)
        if score is None or name is None:
            continue
        opinion = judged.get(interaction_id)
        overall = None if opinion is None or opinion.overall is None else (opinion.overall - 1) / 4
        found[name].append(Said(interaction_id, call.conversation_id or call.id, (score - 1) / 4, overall))
    return found
