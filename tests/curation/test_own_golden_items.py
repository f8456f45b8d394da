"""A golden question that somebody brought is never trained on, though no interaction of the store stands behind it."""

from continuum.curation.curator import DataCurator
from continuum.embedding.embedder import HashedEmbedder
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Feedback
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.golden_growth import grow
from continuum.splits.own_items import read_items
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, assistant, interactions, user

QUESTION = "Please tell me whether the parcel that I sent to my sister on Monday has arrived in the meantime"


async def test_a_training_set_is_built_without_what_asks_or_nearly_asks_a_brought_question(store: Store) -> None:
    policy = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.1, validation=0.1))
    rows = [
        *interactions(40),
        an_interaction(QUESTION.upper(), id="same"),
        an_interaction(QUESTION + "?!", id="nearly"),
        an_interaction(id="goes-on", messages=(user(QUESTION), assistant("It has."), user("Are you sure of that?"))),
    ]
    store.tasks.register(policy)
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5, recorded_at=NOON) for row in rows)
    golden = grow(store, policy, size=0, brought=read_items([{"question": QUESTION}])).dataset

    dataset = await DataCurator(store=store, embedder=HashedEmbedder()).build("support")

    assert golden is not None
    assert len(dataset) > 25
    assert {"same", "nearly", "goes-on"}.isdisjoint(example.interaction_id for example in dataset)
    assert context_fingerprint((user(QUESTION),)) not in {context_fingerprint(example.messages) for example in dataset}
