"""Similar cases at the terminal."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from continuum.commands.terminal import Json, bar, print_json, say
from continuum.config import load_settings
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.embedding.cases import SimilarCase


def similar(
    interaction: Annotated[str, typer.Argument(metavar="ID", help="Id of an interaction, or the provider's response id.")],
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=1000, help="How many to show.")] = 10,
    by: Annotated[Literal["question", "answer"], typer.Option(help="Compare what was asked, or what was answered.")] = "question",
    task: Annotated[
        str | None, typer.Option(help="Look among this task's interactions; the interaction's own when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the interactions most like one, how good they were found and what became of them."""
    from continuum.embedding.cache import cached_embedder  # numpy, faiss and polars start here
    from continuum.embedding.cases import similar_cases, summary_of

    with bar("embedding") as on_progress:
        embedder = cached_embedder(load_settings(), on_progress=on_progress)
        cases = similar_cases(default_store(), interaction, k, embedder, by=by, task=task)
    summary = summary_of(cases)
    if as_json:
        found = {"interaction_id": interaction, "by": by, "embedder": embedder.id, "summary": asdict(summary)}
        print_json(found | {"cases": [asdict(case) for case in cases]})
        return
    for case in cases:
        say(f"{case.cosine:.3f}  {outcome(case)}  {case.interaction_id}")
        say(f"       {case.question}")
        say(f"    -> {case.answer or 'no answer'}")
    say(f"{summary}; compared by {by} with {embedder.id}")


def outcome(case: "SimilarCase") -> str:
    """What became of a case, in a few words."""
    said = (
        "not scored" if case.score is None else f"{case.score:.1f} by {'people' if case.score_source == 'human' else 'the judge'}"
    )
    more = [case.label or "", "corrected" if case.corrected else "", "" if case.status == "ok" else case.status]
    held = [f"{one.split} of {one.dataset}" for one in case.held_in]
    return ", ".join([said, *filter(None, more), *held])
