"""vLLM: what starts it is what Continuum needs of it, what the task is told fits, and the check says who refuses and why."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continuum.store.database import Store
from tests.deployment.backends.rigs import a_checkpoint
from tests.deployment.backends.vllm_contract import Vllm
from tests.examples.conftest import EXAMPLES, Run

VLLM = """#!/bin/sh
printf '%s\\n' "$VLLM_ALLOW_RUNTIME_LORA_UPDATING" "${VLLM_API_KEY:-}" "$*"
"""
"""Stands for the program of that name: it says what it was started with."""


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH with a `vllm` of ours, and the `continuum` of this environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "vllm").write_text(VLLM, encoding="utf-8")
    (folder / "vllm").chmod(0o755)
    (folder / "continuum").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from continuum.cli import main; main()" "$@"\n', encoding="utf-8"
    )
    (folder / "continuum").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def settings(tmp_path: Path, **changed: str) -> Path:
    """The example's file with other values."""
    lines = (EXAMPLES / "vllm" / "vllm.env").read_text(encoding="utf-8").splitlines()
    values = {line.partition("=")[0]: line.partition("=")[2] for line in lines if not line.startswith("#")} | changed
    path = tmp_path / "vllm.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    return path


def test_vllm_is_started_so_that_versions_can_be_loaded_while_it_runs(run: Run, programs: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n", encoding="utf-8")

    done = run(
        "vllm/serve.sh", str(settings(tmp_path, CHECKPOINTS=str(tmp_path), API_KEY_FILE=str(tmp_path / "key"))), PATH=programs
    )

    assert (done.returncode, done.stderr) == (0, "")
    switch, key, command = done.stdout.splitlines()
    assert (switch, key) == ("True", "secret")
    assert command.startswith("serve Qwen/Qwen3-0.6B ")
    assert "--enable-lora --max-lora-rank 16 " in command
    assert "secret" not in command


def test_without_the_folder_of_the_checkpoints_nothing_is_started(run: Run, programs: str, tmp_path: Path) -> None:
    done = run("vllm/serve.sh", str(settings(tmp_path, CHECKPOINTS=str(tmp_path / "missing"))), PATH=programs)

    assert (done.returncode, done.stdout) == (78, "")
    assert f"CHECKPOINTS is {tmp_path / 'missing'}" in done.stderr


@pytest.mark.slow
def test_the_rank_that_the_task_is_told_is_one_that_the_server_takes(run: Run, programs: str, store: Store) -> None:
    done = run("vllm/policy.sh", "support", "http://127.0.0.1:8000/v1", PATH=programs)

    assert done.returncode == 0, done.stderr
    policy = store.tasks.get("support").policy
    assert (policy.deployment.backend, policy.deployment.backend_url) == ("vllm", "http://127.0.0.1:8000/v1")
    assert policy.deployment.strategy == "canary"
    (limit,) = [
        line.partition("=")[2]
        for line in (EXAMPLES / "vllm" / "vllm.env").read_text(encoding="utf-8").splitlines()
        if line.startswith("MAX_LORA_RANK=")
    ]
    assert policy.training.lora_rank <= int(limit)


@pytest.fixture
async def server() -> AsyncIterator[Vllm]:
    async with Vllm() as opened:
        yield opened


async def ready(server_url: str, store: Store) -> "subprocess.CompletedProcess[str]":
    """Run the check in a thread, since the server it asks runs here."""
    policy = store.tasks.get("support").policy
    deployment = policy.deployment.model_copy(update={"backend": "vllm", "backend_url": server_url})
    store.tasks.register(policy.model_copy(update={"deployment": deployment}))
    command = [sys.executable, "-W", "error", str(EXAMPLES / "vllm" / "ready.py"), "support"]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)


@pytest.mark.slow
async def test_the_newest_version_is_loaded_and_said_to_be_ready(server: Vllm, store: Store, tmp_path: Path) -> None:
    store.tasks.ensure("support")
    for version in (1, 2):
        store.checkpoints.add(a_checkpoint(tmp_path, version))

    done = await ready(server.base_url, store)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "support-v2 is ready: Success: LoRA adapter 'support-v2' added successfully.\n"
    assert list(server.adapters) == ["support-v2"]


@pytest.mark.slow
async def test_a_server_that_does_not_take_it_is_named_with_the_flag_to_set(server: Vllm, store: Store, tmp_path: Path) -> None:
    server.max_lora_rank = 8
    store.tasks.ensure("support")
    store.checkpoints.add(a_checkpoint(tmp_path, rank=16))

    done = await ready(server.base_url, store)

    assert done.returncode == 1
    assert "--max-lora-rank" in done.stdout
    assert json.dumps(server.adapters) == "{}"


@pytest.mark.slow
async def test_a_server_that_is_not_there_and_a_task_without_a_version_are_said(store: Store, tmp_path: Path) -> None:
    store.tasks.ensure("support")
    none = await ready("http://127.0.0.1:9/v1", store)
    store.checkpoints.add(a_checkpoint(tmp_path))
    away = await ready("http://127.0.0.1:9/v1", store)

    assert (none.returncode, away.returncode) == (1, 1)
    assert "no version yet" in none.stdout
    assert "http://127.0.0.1:9/v1" in away.stdout
