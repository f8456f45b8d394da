"""The `continuum` command: every stage by hand, the whole turn, and the servers. How it ends is in `commands/endings.py`."""

import importlib.metadata
import os
import sys
import warnings
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperCommand, TyperGroup

from continuum.commands import (
    backfilling,
    completing,
    constitution,
    data,
    datasets,
    deployments,
    forgetting,
    golden,
    guarding,
    judging,
    keys,
    labelling,
    measuring,
    proof,
    servers,
    setting_up,
    similar,
    stages,
    tasks,
    watching,
)
from continuum.commands.endings import (
    CODES,
    FAILED,
    INTERRUPTED,
    NOTHING_DECIDED,
    WRONG_USAGE,
    speaks_json,
    tell,
    tell_programs,
    told_of_file,
)
from continuum.commands.terminal import complain, say
from continuum.errors import ContinuumError
from continuum.strict import explained


class Commands(TyperGroup):
    """The commands; what ends one before it could say so itself is said here, for people and for programs."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Read the command line."""
        # Known before the line is understood, so that a line that is not understood is told in the form it asked for.
        before_names = args[: args.index("--")] if "--" in args else args
        speaks_json.set("--json" in before_names)
        try:
            return super().make_context(info_name, args, *more, **extra)
        except Exception as error:
            _tell_misuse(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the line names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain(CODES[INTERRUPTED])
            tell_programs(CODES[INTERRUPTED], "Interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            _tell_misuse(error)
            raise


def _tell_misuse(error: Exception) -> None:
    """Typer tells people of wrong usage by itself; its errors alone know how to show themselves."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        tell_programs(error.format_message(), "UsageError")  # type: ignore[attr-defined]


class Guarding(TyperCommand):
    """The guard, whose exit code 2 is a verdict: wrong usage ends with another one."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            # Click's own errors of usage carry their exit code; whatever else it is goes on as it was.
            if getattr(error, "exit_code", None) == WRONG_USAGE:
                error.exit_code = NOTHING_DECIDED  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="The open flywheel for LLM applications.",
    epilog="Exit codes: " + ". ".join(f"{code} {meaning}" for code, meaning in CODES.items()) + ".",
)
tasks_app = typer.Typer(invoke_without_command=True, help="List the tasks, or change what one asks for.")
db_app = typer.Typer(no_args_is_help=True, help="The store's database.")
base_app = typer.Typer(no_args_is_help=True, help="Base models.")
constitution_app = typer.Typer(no_args_is_help=True, help="Constraints that a model is held to.")
dataset_app = typer.Typer(no_args_is_help=True, help="Dataset versions.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of the gateway.")


@db_app.callback()
def _database() -> None:
    """Keep `upgrade` a command of its own, though it is the only one."""


def _tell_version(wanted: bool) -> None:
    if wanted:
        from continuum.checkup import DISTRIBUTION

        say(f"continuum {importlib.metadata.version(DISTRIBUTION)}")
        raise typer.Exit()


@app.callback()
def _continuum(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Options of the command itself."""


# The first minutes.
app.command(epilog="Example: continuum init support")(setting_up.init)
app.command(epilog="Example: continuum doctor support")(setting_up.doctor)

# Data in and out, and what there is.
app.command("import", epilog="Example: continuum import log.jsonl --task support")(data.import_)
app.command(epilog="Example: continuum export support fine_tuning.jsonl --format openai --since 30d")(data.export)
app.command()(data.drain)
app.command()(data.gather)
app.add_typer(db_app, name="db")
db_app.command("upgrade")(data.upgrade)
app.add_typer(tasks_app, name="tasks")
tasks_app.callback()(tasks.tasks)
tasks_app.command(
    "set", epilog="Example: continuum tasks set support judge.model=gpt-4o-mini judge.budget_usd=5 auto_train_when=1000"
)(tasks.set_policy)
tasks_app.command("show")(tasks.show_policy)
tasks_app.command("apply", epilog="Example: continuum tasks apply continuum.yaml --dry-run")(setting_up.apply_file)
app.command(epilog="Example: continuum status support --json")(tasks.status)
app.command()(tasks.lineage)
app.add_typer(dataset_app, name="dataset")
dataset_app.command("list")(datasets.list_versions)
dataset_app.command()(datasets.show)
dataset_app.command()(datasets.diff)
dataset_app.command()(datasets.export)
app.command()(similar.similar)
app.command()(golden.golden)

# The stages by hand.
app.command(epilog="Example: continuum annotate support --since 7d")(judging.annotate)
app.command(epilog="Example: continuum backfill support --since 30d --rubric new.yaml --dry-run")(backfilling.backfill)
app.command()(judging.judge)
app.command(epilog="Example: continuum label support --page")(labelling.label)
app.command(epilog="Example: continuum curate support --since 30d")(stages.curate)
app.command(epilog="Example: continuum train support --dataset support_training_v3")(stages.train)
app.command()(stages.forgetting)
app.command(cls=Guarding, epilog="Example: continuum guard --candidate support-v2 --report report.html")(guarding.guard)
app.command()(proof.proof)
app.command()(forgetting.forget)
app.command(epilog="Example: continuum deploy support-v2")(stages.deploy)
app.command(epilog="Example: continuum turn support --dry-run, then: continuum turn support --watch")(stages.turn)
app.command()(measuring.curve)
app.add_typer(constitution_app, name="constitution")
constitution_app.command("list")(constitution.list_constraints)
constitution_app.command()(constitution.show)
constitution_app.command()(constitution.draft)
app.add_typer(base_app, name="base")
base_app.command("build")(stages.build_base)

# Deployments, led and in people's hands.
app.command()(deployments.deployments)
app.command()(deployments.promote)
app.command()(deployments.pause)
app.command()(deployments.resume)
app.command()(deployments.abort)
app.command(epilog='Example: continuum rollback support --reason "complaints"')(deployments.rollback)
app.command(epilog="Example: continuum watch support --live")(watching.watch)

# Servers.
app.command(epilog="Example: continuum gateway --task support --workers 4")(servers.gateway)
app.add_typer(keys_app, name="keys")
keys_app.command(epilog="Example: continuum keys create webshop --task support --per-minute 600")(keys.create)
keys_app.command("list")(keys.list_keys)
keys_app.command()(keys.revoke)
app.command()(servers.serve)
app.command()(servers.demo)

# This command itself.
app.command()(completing.completion)


def main() -> None:
    """Run the command; errors and warnings that the user can act on are printed without a traceback."""
    warnings.showwarning = lambda message, *_: complain(f"warning: {message}")
    try:
        try:
            app()
        except ValidationError as error:
            tell(explained(error), "ConfigurationError")
            sys.exit(FAILED)
        except ContinuumError as error:
            tell(error)
            sys.exit(FAILED)
        except OSError as error:
            if not told_of_file(error):
                tell_programs(str(error), type(error).__name__)
                raise
            sys.exit(FAILED)
        except Exception as error:
            if not type(error).__module__.startswith("sqlalchemy."):
                tell_programs(str(error), type(error).__name__)
                raise
            from continuum.spool.draining import reason_of

            tell(f"the store failed: {reason_of(error)}; see `continuum doctor`", "StoreError")
            sys.exit(FAILED)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read along has gone, as `head` does; at its exit Python would complain of it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
