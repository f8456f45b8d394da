"""The question that a training on another provider's answers begins with, asked once and of a person."""

from typing import TYPE_CHECKING

import typer

from continuum.amending import amended
from continuum.commands.endings import FAILED, tell
from continuum.commands.terminal import asks_people, complain, yes
from continuum.policy import TaskPolicy
from continuum.provenance.terms import TermsNotAccepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from continuum.store.database import Store


def ask_for_terms(store: "Store", policy: TaskPolicy, providers: "Mapping[str, int]") -> None:
    """Ask whether the terms of others' models allow a training, where nobody has said so, and keep a yes with the task.

    Nothing is asked where nobody sits at a terminal: the training itself then stops, and says what to set.

    Args:
        store: where the task is.
        policy: the task's.
        providers: others' models, with how many of their answers would be learned from.

    Raises:
        typer.Exit: a person said no.
    """
    if policy.provider_terms_accepted or not providers or not asks_people():
        return
    question = TermsNotAccepted(policy.task, providers)
    complain(str(question))
    if not yes("Do the terms of these models allow you to train on their answers?"):
        tell("nothing is trained: the terms are not accepted", "TermsNotAccepted")
        raise typer.Exit(FAILED)
    store.tasks.change(policy.task, lambda stored: amended(policy.task, stored, {"provider_terms_accepted": True}))
    complain(f"kept: provider_terms_accepted=true in the policy of {policy.task}; it is not asked again")
