"""The first minutes: a task file is written and applied, and what is missing is found."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from continuum.commands.completing import task_names
from continuum.commands.endings import FAILED, refuse
from continuum.commands.terminal import Json, asks_people, complain, print_json, run, say, stderr
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.store import default_store
from continuum.strict import without_secret
from continuum.task_file import NAME, apply, changes_of, parsed_task_file, read_task_file

if TYPE_CHECKING:
    from continuum.task_file import Change, TaskFile

File = Annotated[Path, typer.Argument(help="A task's policy as YAML.", dir_okay=False)]
LOCAL_SERVERS = {"Ollama": "http://127.0.0.1:11434/v1", "vLLM": "http://127.0.0.1:8000/v1"}
"""Where servers of this machine listen that are asked for, by themselves."""
JUDGE = "gpt-4o-mini"
QUICKLY_S = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """What a machine offers for a judge."""

    model: str | None = None
    base_url: str | None = None
    because: str = "no key is set and no local server answers, so people's verdicts alone say what is good"


def init(
    task: Annotated[str | None, typer.Argument(help="Name of the task, such as support.")] = None,
    file: Annotated[Path, typer.Option(help="Where the task file goes.")] = Path(NAME),
    judge_model: Annotated[str | None, typer.Option(help="Model that judges; none for people's verdicts alone.")] = None,
    judge_base_url: Annotated[
        str | None, typer.Option(help="The judge's OpenAI-compatible endpoint; the provider's when left out.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Model to tune: a folder, or a hub id.")] = None,
    auto_train_when: Annotated[int | None, typer.Option(min=1, help="New interactions for a turn. [default: 1000]")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="The most that judging costs in a month. [default: 5]")] = None,
    auto_deploy: Annotated[
        bool | None, typer.Option("--auto-deploy/--no-auto-deploy", help="Deploy by canary what the guard lets through.")
    ] = None,
    take_defaults: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a task file with comments, and register the task as it says.

    At a terminal it asks for what is not given; elsewhere it takes defaults, and TASK has to be named. No key is written: keys
    come from the environment. Run again it leaves the file as it is.
    """
    if file.exists() and not force:
        _stays(file, task, as_json)
        return
    asking = asks_people() and not take_defaults and not as_json
    if task is None:
        if not asking:
            refuse("nobody is there to be asked for the task's name; name it: continuum init TASK")
        task = _asked("Name of the task", "support", checked_task_name)
    checked_task_name(task)
    found = run(_found())
    if judge_model is None and judge_base_url is None:
        judge_model, judge_base_url = found.model, found.base_url
        if asking:
            complain(f"judge: {found.because}")
            judge_model = _asked("Judge model, or none", judge_model or "none")
            if judge_model != "none" and judge_base_url is None:
                judge_base_url = _asked("Its endpoint's address, or none for the provider's own", "none", _address)
    judge_model, judge_base_url = _or_none(judge_model), _or_none(judge_base_url)
    base_model = base_model or load_settings().base_model
    if asking and base_model is None:
        base_model = _or_none(_asked("Model to tune (a folder or a hub id), or none for later", "none"))
    if asking and auto_train_when is None:
        auto_train_when = _asked("New interactions that start a turn", "1000", _count)
    if asking and judge_model and budget_usd is None and judge_base_url is None:
        budget_usd = _asked("US dollars a month that judging may cost", "5", _dollars)
    if asking and auto_deploy is None:
        auto_deploy = _asked("Deploy by itself what the guard lets through", "no").casefold() in ("y", "yes")
    if budget_usd is None and judge_model and judge_base_url is None:
        budget_usd = 5.0
    text = _text(task, judge_model, judge_base_url, base_model, auto_train_when or 1000, budget_usd, bool(auto_deploy))
    # All that can be refused is, before a file that is there is written over.
    store, read = default_store(), parsed_task_file(file, text)
    changes_of(store, read)
    _write(file, text)
    _told(read, apply(store, read), as_json, applied=True)
    complain(f"{file} is written; next: continuum doctor {task}")


def apply_file(
    file: File = Path(NAME),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """Make a task as its file says, and say what changed; what the file leaves out stays as it is."""
    store, read = default_store(), read_task_file(file)
    changes = changes_of(store, read) if dry_run else apply(store, read)
    _told(read, changes, as_json, applied=not dry_run)


def doctor(
    task: Annotated[str | None, typer.Argument(help="Name of the task; all when left out.", autocompletion=task_names)] = None,
    as_json: Json = False,
) -> None:
    """Look at everything that a task needs, for real: endpoint, key, price, base model, machine, store, redactor, spool, driver.

    Nothing is downloaded and nothing is paid for. Exits 1 where something fails.
    """
    from continuum.checkup import check_up

    found = run(check_up(task))
    if as_json:
        print_json(found)
    else:
        for one in found:
            say(f"{one.state:<4}  {one.what}: {one.words}")
    if any(one.state == "fail" for one in found):
        raise typer.Exit(FAILED)


def _stays(file: Path, task: str | None, as_json: bool) -> None:
    try:
        read = read_task_file(file)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; mend it, or write over it with --force") from error
    if task is not None and task != read.task:
        another = file.with_name(f"{checked_task_name(task)}.yaml")
        raise ConfigurationError(
            f"{file} is there already, for the task {read.task}, and nothing was set up for {task}; "
            f"give this one a file of its own with --file {another}, or write over it with --force"
        )
    changes = changes_of(default_store(), read)
    _told(read, changes, as_json, applied=False)
    complain(f"{file} is there already and stays as it is (--force writes another)")
    if changes:
        complain(f"the store differs from it; apply it with: continuum tasks apply {file}")


def _told(read: "TaskFile", changes: "list[Change]", as_json: bool, *, applied: bool) -> None:
    if as_json:
        print_json({"task": read.task, "file": read.path, "applied": applied, "changes": changes})
        return
    for change in changes:
        say(f"{read.task}: {change.words()}")
    if not changes:
        say(f"{read.task} is as {read.path} says")


async def _found() -> Found:
    """A judge that this machine offers: the environment's, a provider's whose key is set, or a local server's."""
    from continuum.checkup import models_at

    settings = load_settings()
    if settings.judge_base_url is not None:
        key = settings.judge_api_key.get_secret_value() if settings.judge_api_key else None
        listed = (await models_at(settings.judge_base_url, key)).models
        named = settings.judge_model or (listed[0] if listed else None)
        return Found(named, None, "the environment names its endpoint")
    if settings.judge_api_key is not None:
        return Found(settings.judge_model or JUDGE, None, "the environment holds a key")
    for name, base_url in LOCAL_SERVERS.items():
        if models := (await models_at(base_url, patience_s=QUICKLY_S)).models:
            return Found(models[0], base_url, f"{name} answers at {base_url} with {', '.join(models[:5])}")
    return Found()


def _asked(question: str, default: str, read: Callable[[str], T] = str) -> T:
    """What a person answers, read; asked again as long as it cannot be."""
    while True:
        stderr.print(f"{question} [{default}]: ", end="", highlight=False, markup=False)
        try:
            return read(input().strip() or default)
        except ConfigurationError as error:
            complain(str(error))


def _address(text: str) -> str | None:
    return without_secret(_or_none(text), "the address")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise ConfigurationError(f"{text!r:.60} is not a whole number of 1 or more")
    return int(text)


def _dollars(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 10**9:
        raise ConfigurationError(f"{text!r:.60} is not an amount of 0 or more, such as 2.50")
    return found


def _or_none(text: str | None) -> str | None:
    return None if text is None or text.casefold() in ("none", "") else text


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written ({error}); name another with --file") from error


def _text(
    task: str,
    judge: str | None,
    base_url: str | None,
    base_model: str | None,
    train_when: int,
    budget_usd: float | None,
    deploy: bool,
) -> str:
    """The file; each value is JSON, which YAML reads as it is."""
    value = json.dumps
    return f"""\
# The policy of a task. Apply it with: continuum tasks apply {NAME}
# What is not named here keeps its value; `continuum tasks show {task}` prints everything there is.
# No key belongs in this file: the judge's comes from OPENAI_API_KEY or CONTINUUM_JUDGE_API_KEY.
task: {value(task)}

# A turn starts when so many interactions have come since the last one; null: only when asked.
auto_train_when: {value(train_when)}
# Whether what the guard lets through is deployed, by canary.
auto_deploy_if_better: {value(deploy)}
# What is tuned: a folder, or a hub id that is in the local cache. null: CONTINUUM_BASE_MODEL.
base_model: {value(base_model)}

judge:
  # Who says how good an answer is; null: people's verdicts alone.
  model: {value(judge)}
  # An OpenAI-compatible endpoint; null: CONTINUUM_JUDGE_BASE_URL, or the provider's own.
  base_url: {value(base_url)}
  # The most that all that judges may cost in a month, in US dollars; null: no limit. It needs a price for the judge.
  budget_usd: {value(budget_usd)}

curation:
  # Answers below this score, of 1 to 5, are not learned from.
  min_quality_score: 3.5

guard:
  # How far a metric may fall, on a scale from 0 to 1; -0.02 where none is named.
  thresholds: {{}}

# Terms of some providers forbid to train on what their models answered. Set it to true once you have read yours:
# provider_terms_accepted: true
"""
