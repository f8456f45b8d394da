"""What a proxy judge learns from: people's explicit verdicts, without those that something else must be measured by."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.judging.injection import has_content, suspicious
from continuum.records import Feedback, Message
from continuum.splits.ratings import human_rating
from continuum.splits.sides import task_sides

if TYPE_CHECKING:
    from continuum.store.database import Store

MOST_LABELS = 5000
"""The newest so many are learned from."""
APART = ("audit", "anchor")
"""Queues that were drawn at random and calibrate judges: a proxy that had learned from them would prove itself by itself."""


@dataclass(frozen=True)
class Labelled:
    """An answer that people scored."""

    interaction_id: str
    conversation: Sequence[Message]
    response: Message
    score: float
    group: str
    """Answers of one group are not independent."""


def labelled_answers(store: "Store", task: str) -> tuple[list[Labelled], dict[str, int]]:
    """The labels of a task that a proxy may learn from, oldest verdict first, and how many were left out for what reason.

    Left out are the audit stream and the anchors; everything on the golden side, and what later data tied to it; answers
    without content, and content that talks to a judge.

    Raises:
        ConfigurationError: there is no such task.
    """
    said: dict[str, list[Feedback]] = {}
    for interaction_id, feedback in store.feedback.of_task(task):
        said.setdefault(interaction_id, []).append(feedback)
    apart = set().union(*(store.reviews.ids(task, queue) for queue in APART))
    sides = task_sides(store, store.tasks.get(task).policy)
    raters = store.raters.of(task)
    left_out: Counter[str] = Counter()
    scores: dict[str, float] = {}
    for feedback in said.values():
        feedback.sort(key=lambda one: (one.recorded_at, one.id))
    for interaction_id in sorted(said, key=lambda one: (said[one][-1].recorded_at, one)):
        score = human_rating(said[interaction_id], raters).score
        if score is None:
            continue
        if interaction_id in apart:
            left_out["audit or anchor"] += 1
        elif sides.side.get(interaction_id) not in {"train", "validation"}:
            left_out["golden side"] += 1
        else:
            scores[interaction_id] = score
    found = store.interactions.get_many(scores)
    labels: list[Labelled] = []
    for interaction_id, score in scores.items():
        interaction = found.get(interaction_id)
        if interaction is None or not has_content(interaction.response, interaction.messages) or interaction.response is None:
            left_out["no answer"] += 1
        elif suspicious(interaction.messages, interaction.response):
            left_out["talks to a judge"] += 1
        else:
            group = sides.group[interaction_id]
            labels.append(Labelled(interaction_id, interaction.messages, interaction.response, score, group))
    if len(labels) > MOST_LABELS:
        left_out["older"] = len(labels) - MOST_LABELS
    return labels[-MOST_LABELS:], dict(left_out)
