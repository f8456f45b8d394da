"""A base model for a task from the task's own conversations, where none can be downloaded.

Only the training side is read: a base that has seen the golden conversations would be measured on what it knows by heart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.amending import amended
from continuum.config import load_settings
from continuum.errors import MissingExtra, NotEnoughData
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Message
from continuum.splits.sides import task_sides
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.training.base import BaseReport

SMALL_MODEL_RATE = 5e-3
SMALL_MODEL_EPOCHS = 5.0
"""A model of a million parameters takes larger steps, and more of them, than one of a billion."""


@dataclass(frozen=True)
class BaseSize:
    """How large the model is and how long it learns."""

    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    window: int = 256
    """Tokens it learns from at once, and reads when it answers: of a longer conversation, the end."""
    steps: int = 500
    batch_size: int = 16


def build_base_for_task(
    task: str | TaskPolicy,
    folder: Path | None = None,
    *,
    store: "Store | None" = None,
    size: BaseSize = BaseSize(),
    seed: int | None = None,
    on_progress: Progress = silent,
) -> "BaseReport":
    """Train a tokenizer and a small language model on the task's training side: all of it, good answers and bad.

    Args:
        task: the task, or its policy.
        folder: where the model goes; `models/<task>-base` in CONTINUUM_HOME where none is given. Pass it on as base model.
        store: where the conversations are; None for the process's own.
        size: how large and how long.
        seed: None for CONTINUUM_SEED.
        on_progress: called after each step.

    Raises:
        ConfigurationError: there is no such task.
        NotEnoughData: its training side holds no conversation.
        MissingExtra: the training extra is not installed.
    """
    settings = load_settings()
    opened = store or default_store()
    policy = task if isinstance(task, TaskPolicy) else opened.tasks.get(task).policy
    conversations = training_conversations(opened, policy)
    if not conversations:
        raise NotEnoughData(f"task {policy.task!r} has 0 conversations on its training side; import or capture some first")
    try:
        from continuum.training.base import build_base  # torch and transformers start here
    except ImportError as error:
        raise MissingExtra.of(error, "Building a base model") from error
    return build_base(
        conversations,
        folder or settings.models_dir / f"{policy.task}-base",
        vocabulary=size.vocabulary,
        hidden=size.hidden,
        layers=size.layers,
        heads=size.heads,
        length=size.window,
        steps=size.steps,
        batch_size=size.batch_size,
        seed=settings.seed if seed is None else seed,
        on_progress=on_progress,
    )


def adopt_base(store: "Store", task: str, report: "BaseReport") -> TaskPolicy:
    """Make a base that was built here the one that the task tunes, at a learning rate that suits so small a model."""
    suits = {"training.learning_rate": SMALL_MODEL_RATE, "training.epochs": SMALL_MODEL_EPOCHS}
    changes = {"base_model": str(report.folder), **suits}
    return store.tasks.change(task, lambda stored: amended(task, stored, changes)).policy


def training_conversations(store: "Store", policy: TaskPolicy) -> list[tuple[Message, ...]]:
    """The conversations on the task's training side, without those that another one continues."""
    side = task_sides(store, policy).side
    return whole_conversations(
        interaction.conversation
        for interaction in store.interactions.scan(policy.task)
        if side.get(interaction.id) == "train" and interaction.response is not None
    )


def whole_conversations(conversations: Iterable[Sequence[Message]]) -> list[tuple[Message, ...]]:
    """The longest of each chain of conversations that begin alike, each once, in a fixed order.

    Logs hold a dialogue of ten turns as ten rows; read row by row its greeting would weigh ten times its end.
    """
    by_key = {tuple((message.role, message.action) for message in messages): tuple(messages) for messages in conversations}
    # Sorted, a conversation stands right before the first of those that continue it.
    keys = sorted(by_key)
    following = [*keys[1:], ()] if keys else []
    return [by_key[key] for key, after in zip(keys, following, strict=True) if after[: len(key)] != key]
