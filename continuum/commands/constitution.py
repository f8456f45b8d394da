"""The constraints that a model can be held to, and drafting one in free words."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from continuum.commands.completing import task_names
from continuum.commands.terminal import Json, bar, complain, print_json, run, say, show_table
from continuum.config import Settings, load_settings
from continuum.constitution.constraints import BUILT_IN, Constraint, constraint_for, of_drafted, same_words
from continuum.constitution.drafted import Drafted, folder_of, read_all, read_drafted, write_drafted
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.policy import TaskPolicy
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.models.budget import Budget
    from continuum.models.chat import ChatModel

Text = Annotated[str, typer.Argument(help='The constraint in words, such as "Never give legal advice".')]


def list_constraints(as_json: Json = False) -> None:
    """List the constraints that have probes: the built-in ones and those that were drafted here."""
    drafted = read_all(folder_of(load_settings().home))
    rows = [(constraint, None) for constraint in BUILT_IN] + [(of_drafted(one), one) for one in drafted]
    if as_json:
        print_json([_plain(*row) for row in rows])
        return
    table = Table("constraint", "training probes", "held out", "pairs", "checked by", "from", box=None)
    for constraint, one in rows:
        numbers = (len(constraint.probes), len(constraint.held_out), len(constraint.pairs()))
        table.add_row(excerpt(constraint.text), *map(str, numbers), _checked_by(one), _origin(one))
    show_table(table)


def show(text: Text, as_json: Json = False) -> None:
    """Print a constraint's probes with their answers, the held-out ones marked."""
    constraint = constraint_for(text)
    drafted = read_drafted(folder_of(load_settings().home), same_words(text))
    if as_json:
        probes = {"training": constraint.probes, "held_out": constraint.held_out}
        print_json(
            _plain(constraint, drafted) | {"prompts": {side: [vars(one) for one in held] for side, held in probes.items()}}
        )
        return
    say(f"{excerpt(constraint.text, 500)}: checked by {_checked_by(drafted)}, {_origin(drafted)}")
    for mark, probes in (("", constraint.probes), ("held out  ", constraint.held_out)):
        for probe in probes:
            say(f"  {mark}{excerpt(probe.prompt, 200)}  ->  {excerpt(probe.answer, 200)}")


def draft(
    text: Text,
    must: Annotated[str | None, typer.Option(help="Regular expression that an answer to a probe has to match.")] = None,
    must_not: Annotated[str | None, typer.Option(help="Regular expression that no answer may match.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task whose judge writes and checks, and whose budget pays.", autocompletion=task_names)
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Have the base model itself write; needs a pattern.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Draft a constraint again that was drafted before.")] = False,
    as_json: Json = False,
) -> None:
    """Have probes written for a constraint in free words, each checked by a pattern or by the judge."""
    from continuum.constitution.drafting import BaseWriter
    from continuum.constitution.drafting import draft as drafted_by

    settings = load_settings()
    folder, words = folder_of(settings.home), same_words(text)
    if any(same_words(constraint.text) == words for constraint in BUILT_IN):
        raise ConfigurationError(f"{text!r} is built in; see it with: continuum constitution show {text!r}")
    if not replace and read_drafted(folder, words) is not None:
        raise ConfigurationError(f"{text!r} was drafted before; add --replace to draft it again")
    policy = default_store().tasks.get(task).policy if task else None
    model: ChatModel
    judge: ChatModel | None = None
    if base:
        model = BaseWriter(_base_model(policy, settings))
    else:
        model = judge = _judge(policy, settings)
    with bar("drafting") as on_progress:
        budget = _budget(policy)
        work = drafted_by(text, model, judge=judge, must=must, must_not=must_not, budget=budget, on_progress=on_progress)
        drafted = run(work)
    path = write_drafted(folder, same_words(drafted.text), drafted)
    if as_json:
        print_json(
            _plain(of_drafted(drafted), drafted) | {"file": path, "cost_usd": drafted.cost_usd, "dropped": drafted.dropped}
        )
        return
    dropped = "".join(f"; {count} {reason}" for reason, count in drafted.dropped.items())
    say(
        f"{excerpt(drafted.text, 500)}: {len(drafted.probes)} probes to train on, {len(drafted.held_out)} held out, written by "
        f"{excerpt(drafted.model)} for ${drafted.cost_usd:.4f}{dropped}"
    )
    say(f"kept in {path}; hold a task to it with: training.constitutional_constraints")
    if drafted.check == "judge":
        complain("only a judge can check it, so no training row is filtered by it; --must-not PATTERN would")


def _judge(policy: TaskPolicy | None, settings: Settings) -> "ChatModel":
    name = (policy.judge.model if policy else None) or settings.judge_model
    if not name:
        raise ConfigurationError(
            "no model could write the probes; set CONTINUUM_JUDGE_MODEL, name a --task with a judge, or add --base and a pattern"
        )
    from continuum.models.endpoint import EndpointModel  # openai starts here

    base_url = (policy.judge.base_url if policy else None) or settings.judge_base_url
    return EndpointModel(name, base_url=base_url, api_key=settings.judge_api_key)


def _base_model(policy: TaskPolicy | None, settings: Settings) -> str:
    base = (policy.base_model if policy else None) or settings.base_model
    if not base:
        raise ConfigurationError("no base model could write the probes; set CONTINUUM_BASE_MODEL or name a --task that has one")
    return base


def _budget(policy: TaskPolicy | None) -> "Budget | None":
    from continuum.models.budget import Budget

    return Budget.of_task(default_store(), policy, "annotation") if policy else None


def _checked_by(drafted: Drafted | None) -> str:
    if drafted is None or drafted.check == "pattern":
        return "words" if drafted is None else "a pattern"
    return f"{excerpt(drafted.judge or 'a judge')}, when it was drafted"


def _origin(drafted: Drafted | None) -> str:
    return "built in" if drafted is None else f"drafted by {excerpt(drafted.model)} on {drafted.created_at:%Y-%m-%d}"


def _plain(constraint: Constraint, drafted: Drafted | None) -> dict[str, object]:
    return {
        "text": constraint.text,
        "probes": len(constraint.probes),
        "held_out": len(constraint.held_out),
        "pairs": len(constraint.pairs()),
        "checkable": constraint.checkable,
        "built_in": drafted is None,
        "model": drafted.model if drafted else None,
        "created_at": drafted.created_at.isoformat() if drafted else None,
    }
