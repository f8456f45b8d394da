"""The answer of the most similar training example: what a model must beat to have learned more than to look up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from continuum.artifacts.copies import is_there
from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.embedding.cache import cached_embedder
from continuum.embedding.neighbours import NearestAnswer
from continuum.records import Example, Message

if TYPE_CHECKING:
    from continuum.store.database import Store

Conversation = Sequence[Message]


def looked_up(store: "Store", task: str, conversations: Sequence[Conversation]) -> list[Message]:
    """For each conversation the answer of the nearest example of any dataset that a model of the task was trained on."""
    records = {dataset_id: store.datasets.get(dataset_id) for dataset_id in trained_on(store, task)}
    examples: dict[str, Example] = {}
    for record in records.values():
        if record is not None and is_there(record.uri):
            examples |= {example.interaction_id: example for example in Dataset.read(record.uri).split("train")}
    return NearestAnswer(list(examples.values()), cached_embedder(load_settings())).answer(conversations)


def trained_on(store: "Store", task: str) -> list[str]:
    """The datasets of a task's checkpoints, oldest first, each once."""
    return list(dict.fromkeys(checkpoint.dataset_id for checkpoint in store.checkpoints.of(task)))
