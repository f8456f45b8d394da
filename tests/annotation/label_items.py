"""What is asked about where labelling is tested: reviews of stored interactions, and a judge's word on them."""

from continuum.records import Annotation, Interaction, Review
from continuum.store.database import Store


def asked(store: Store, rows: list[Interaction]) -> list[Review]:
    """Reviews of interactions that are stored here; they are asked about in this order."""
    store.tasks.ensure("support")
    store.interactions.add(rows)
    # What was drawn comes by the end of its id.
    ids = [f"01900000-0000-7000-8000-{n:012x}" for n in range(len(rows))]
    pairs = zip(ids, rows, strict=True)
    batch = [Review(id=one, task="support", interaction_id=row.id, queue="audit", reason="because") for one, row in pairs]
    store.reviews.add(batch)
    return batch


def judge(store: Store, rows: list[Interaction]) -> None:
    store.annotations.add(
        Annotation(
            interaction_id=row.id, task="support", judge="model-a", rubric="r", overall=3.4, scores={"accuracy": 2.0},
            reasons={"accuracy": "Says Monday without knowing it."},
        )
        for row in rows
    )  # fmt: skip
