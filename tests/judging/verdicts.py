"""People's verdicts to learn from, made up: an answer is good where it takes up what was asked, and people err now and then."""

import random
from collections.abc import Iterator
from datetime import timedelta

from continuum.judging.proxy_labels import Labelled
from continuum.records import Feedback, Interaction
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, assistant, user

GOODS = ("lamp", "kettle", "carpet", "mirror", "blanket", "teapot", "candle", "basket", "drawer", "cushion")
PLACES = ("Oslo", "Rome", "Lima", "Cairo", "Paris", "Delhi", "Quito", "Accra")


def verdicts(dialogues: int, *, turns: int = 3, error: float = 0.1, seed: int = 0) -> Iterator[tuple[Interaction, float]]:
    """Interactions of growing conversations, each under a conversation id of its own, with the score that a person gave."""
    rng = random.Random(seed)
    for dialogue in range(dialogues):
        said = [
            user(f"Hello, I am customer {dialogue} {rng.random():.6f} and need help with {rng.choice(GOODS)} number {dialogue}")
        ]
        for turn in range(turns):
            thing, place = rng.choice(GOODS), rng.choice(PLACES)
            said += [assistant("What is it about?"), user(f"When does my {thing} for {place} arrive?")]
            good, unsure = rng.random() < 0.5, f"I am not sure. {rng.choice(GOODS)}?"
            answer = f"Your {thing} for {place} arrives on day {rng.randint(1, 9)}." if good else unsure
            score = 5.0 if good != (rng.random() < error) else 1.0
            yield (
                an_interaction(
                    id=f"d{dialogue:03}-{turn}",
                    messages=tuple(said),
                    response=assistant(answer),
                    conversation_id=f"c{dialogue}-{turn}",
                    started_at=NOON + timedelta(minutes=10 * dialogue + turn),
                ),
                score,
            )
            said.append(assistant(answer))


def labels(dialogues: int, *, turns: int = 3, error: float = 0.1, seed: int = 0) -> list[Labelled]:
    """The same as labels, grouped by dialogue."""
    return [
        Labelled(one.id, one.messages, one.response or assistant(""), score, one.id.split("-")[0])
        for one, score in verdicts(dialogues, turns=turns, error=error, seed=seed)
    ]


def fill(store: Store, dialogues: int, *, error: float = 0.1, seed: int = 0) -> list[Interaction]:
    """Put them into a store, with the verdicts as explicit feedback."""
    found = list(verdicts(dialogues, error=error, seed=seed))
    store.interactions.add(one for one, _ in found)
    store.tasks.ensure("support")
    store.feedback.add(
        Feedback(id=f"f-{one.id}", interaction_id=one.id, score=score, recorded_at=one.started_at) for one, score in found
    )
    return [one for one, _ in found]
