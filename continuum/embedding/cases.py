"""Similar cases: what was asked or answered most like an interaction, how good it was found, and what became of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Literal

from continuum.embedding.embedder import Embedder
from continuum.embedding.neighbours import nearest
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.excerpts import excerpt
from continuum.records import Annotation, Feedback, Interaction, Message
from continuum.similarity.normalise import canonical, prompt_tail
from continuum.splits.ratings import GOOD_SCORE, human_rating

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.raters import RaterRow

By = Literal["question", "answer"]

EXCERPT = 160
"""Characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class HeldIn:
    """A dataset version that holds an interaction."""

    dataset: str
    """Its name."""
    split: str
    """train, validation or golden."""


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """An interaction like the one that was asked about."""

    interaction_id: str
    cosine: float
    """-1 to 1, to four digits."""
    score: float | None
    """1 to 5: people's verdict where there is one, else the judge's; None where nobody scored it."""
    score_source: Literal["human", "judge"] | None
    status: str
    """ok, error or cancelled."""
    label: str | None
    """The newest that a person gave it."""
    corrected: bool
    """Whether people wrote the answer that should have been given."""
    held_in: tuple[HeldIn, ...]
    """The newest version of each split that holds it."""
    question: str
    """The beginning of the last words before the answer, on one line; nothing in it steers a terminal."""
    answer: str
    """The beginning of the answer, or its tool calls; empty where there was none."""


@dataclass(frozen=True, slots=True)
class CasesSummary:
    """Similar cases in a line."""

    cases: int
    scored: int
    mean_score: float | None
    """1 to 5; None where none is scored."""
    share_good: float | None
    """Of the scored, those with 4 or more; 0 to 1."""
    corrected: int

    def __str__(self) -> str:
        said = f"of the {self.cases} nearest {self.scored} scored"
        if self.mean_score is not None:
            said += f", {self.mean_score:.2f} on average, {self.share_good:.0%} good ({GOOD_SCORE:g} or better)"
        return f"{said}, {self.corrected} corrected"


def similar_cases(
    store: "Store", interaction_id: str, k: int, embedder: Embedder, *, by: By = "question", task: str | None = None
) -> list[SimilarCase]:
    """The interactions of a task that are nearest to one of them, nearest first; equally near ones by id.

    Args:
        store: where they are.
        interaction_id: our id, or the provider's response id.
        k: at most so many.
        embedder: what similar means; give a cached one, for all of the task's texts are embedded.
        by: compare the last messages before the answer, or the answers.
        task: look among this task's interactions; None for the interaction's own.

    Raises:
        ConfigurationError: there is no such interaction or task, it has nothing to compare by, or `k` is below 1.
        NotEnoughData: the task has no other interaction that can be compared.
    """
    if k < 1:
        raise ConfigurationError(f"k is {k}; ask for 1 similar case or more")
    interaction = store.interactions.get(interaction_id)
    if interaction is None:
        raise ConfigurationError(f"there is no interaction {interaction_id!r}; `continuum export TASK` lists those there are")
    text = COMPARED[by](interaction)
    if not text:
        other = "question" if by == "answer" else "answer"
        raise ConfigurationError(f"interaction {interaction.id} has no {by} to compare by; compare by {other}")
    if task is not None:
        store.tasks.get(task)
    among = task or interaction.task
    ids = _ids_by_text(store.interactions.scan(among, status=None), COMPARED[by], interaction.id)
    if not ids:
        raise NotEnoughData(
            f"task {among!r} has no other interaction with a {by}, 1 is needed; capture or import more", available=0, needed=1
        )
    near = _nearest_ids(text, ids, k, embedder)
    return list(_described(store, near))


def summary_of(cases: Sequence[SimilarCase]) -> CasesSummary:
    """How the cases were found, in all."""
    scores = [case.score for case in cases if case.score is not None]
    return CasesSummary(
        cases=len(cases),
        scored=len(scores),
        mean_score=round(fsum(scores) / len(scores), 4) if scores else None,
        share_good=round(sum(score >= GOOD_SCORE for score in scores) / len(scores), 4) if scores else None,
        corrected=sum(case.corrected for case in cases),
    )


def _question(interaction: Interaction) -> str:
    return prompt_tail(interaction.messages)


def _answer(interaction: Interaction) -> str:
    return "" if interaction.response is None else canonical(interaction.response.action)


COMPARED: dict[By, Callable[[Interaction], str]] = {"question": _question, "answer": _answer}


def _ids_by_text(
    interactions: Iterable[Interaction], compared: Callable[[Interaction], str], itself: str
) -> dict[str, list[str]]:
    """The texts that occur, each with its interactions; only ids and texts stay in memory."""
    ids: dict[str, list[str]] = {}
    for interaction in interactions:
        text = compared(interaction)
        if text and interaction.id != itself:
            ids.setdefault(text, []).append(interaction.id)
    return ids


def _nearest_ids(text: str, ids: dict[str, list[str]], k: int, embedder: Embedder) -> list[tuple[str, float]]:
    texts = sorted(ids)
    vectors = embedder.embed([text, *texts])
    # A few more than asked for, because which of equally near ones faiss gives is its own affair.
    found = nearest(vectors[:1], vectors[1:], 2 * k + 16)
    near = [
        (-min(1.0, round(float(cosine), 4)), name)
        for cosine, position in zip(found.cosine[0], found.position[0], strict=True)
        for name in ids[texts[position]]
    ]
    return [(name, -negative) for negative, name in sorted(near)[:k]]


def _described(store: "Store", near: Sequence[tuple[str, float]]) -> Iterator[SimilarCase]:
    interactions = store.interactions.get_many(name for name, _ in near)
    feedback = store.feedback.of(interactions.values())
    annotations = store.annotations.of(interactions)
    raters = store.raters.of(next(iter(interactions.values())).task) if interactions else {}
    splits: dict[str, dict[str, str]] = {}
    for name, cosine in near:
        if name in interactions:  # What was erased meanwhile is not shown.
            interaction, said = interactions[name], feedback.get(name, [])
            yield _case(interaction, cosine, said, annotations.get(name), raters, _held_in(store, name, splits))


def _case(
    interaction: Interaction,
    cosine: float,
    said: Sequence[Feedback],
    annotation: Annotation | None,
    raters: "dict[str, RaterRow]",
    held_in: tuple[HeldIn, ...],
) -> SimilarCase:
    rating = human_rating(said, raters)
    judged = None if annotation is None else annotation.overall
    labels = [excerpt(one.label, 40) for one in said if one.kind == "explicit" and one.label]
    answer = interaction.response
    return SimilarCase(
        interaction_id=interaction.id,
        cosine=cosine,
        score=judged if rating.score is None else rating.score,
        score_source="human" if rating.score is not None else "judge" if judged is not None else None,
        status=interaction.status,
        label=labels[-1] if labels else None,
        corrected=rating.correction is not None,
        held_in=held_in,
        question=excerpt(_last_words(interaction.messages), EXCERPT),
        answer="" if answer is None else excerpt(answer.action, EXCERPT),
    )


def _held_in(store: "Store", interaction_id: str, splits: dict[str, dict[str, str]]) -> tuple[HeldIn, ...]:
    newest: dict[str, HeldIn] = {}
    for dataset in store.datasets.holding(interaction_id):
        if dataset.id not in splits:
            splits[dataset.id] = {item.interaction_id: item.split for item in store.datasets.items(dataset.id)}
        split = "golden" if dataset.kind == "golden" else splits[dataset.id].get(interaction_id, "train")
        newest[split] = HeldIn(dataset.name, split)
    return tuple(newest[split] for split in sorted(newest))


def _last_words(messages: Sequence[Message]) -> str:
    """What the user said last, else the last words of anybody."""
    said = [message for message in messages if message.text.strip()]
    users = [message for message in said if message.role == "user"]
    return (users or said or [Message(role="user", content="")])[-1].text
