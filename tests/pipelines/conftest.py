"""Dagster's memory for one test, and tasks to turn."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from continuum.policy import TaskPolicy
from continuum.records import Feedback
from continuum.store.database import Store
from continuum_pipelines.instance import open_instance
from tests.builders import interactions


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster with its memory in this process."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def home_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster on SQLite in the test's home, with the project's dagster.yaml."""
    with open_instance() as opened:
        yield opened


@pytest.fixture
def served(home_instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Callable[[str], WorkspaceProcessContext]]:
    """Serves a code location, named `here`, of a program by a server of its own; it has ended when the test has."""
    with ExitStack() as stack:

        def serve(program: str) -> WorkspaceProcessContext:
            (tmp_path / "location.py").write_text(program)
            target = PythonFileTarget(str(tmp_path / "location.py"), None, None, "here")
            context = WorkspaceProcessContext(home_instance, target)
            # The context tells its server to end, and does not wait until it has.
            stack.callback(context._grpc_server_registry.wait_for_processes)
            return stack.enter_context(context)

        yield serve


@pytest.fixture
def a_task(store: Store, instance: dg.DagsterInstance) -> Callable[..., str]:
    """Registers a task with some interactions, the first of them praised by people, and its partition; returns its name."""

    def register(captured: int = 0, name: str = "support", praised: int = 0, **policy: Any) -> str:
        rows = interactions(captured, task=name)
        store.tasks.register(TaskPolicy(task=name, **({"provider_terms_accepted": True} | policy)))
        store.interactions.add(rows)
        store.feedback.add(Feedback(interaction_id=row.id, score=5) for row in rows[:praised])
        instance.add_dynamic_partitions("task", [name])
        return name

    return register
