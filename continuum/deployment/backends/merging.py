"""An adapter and its base made one model, for servers that take whole models only.

The merging runs in a process of its own: the memory that it needs is given back when it ends, and it ends when whoever waits
for it goes away.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from continuum.artifacts.copies import local
from continuum.config import Settings, make_private
from continuum.errors import ContinuumError, DeploymentError, MissingExtra
from continuum.records import Checkpoint

FORGOTTEN_S = 24 * 3600.0
"""A folder that a killed process left is removed after this long."""


@asynccontextmanager
async def merged_weights(checkpoint: Checkpoint, settings: Settings) -> AsyncIterator[Path]:
    """The folder of a checkpoint's merged model: safetensors in the base's precision, tokenizer, chat template.

    It lies below CONTINUUM_HOME and is gone when the context ends.

    Raises:
        DeploymentError: the adapter cannot be merged with its base model, or there is no room for it.
    """
    root = settings.home / "merged"
    make_private(root)
    await asyncio.to_thread(_remove_forgotten, root, time.time())
    folder = Path(tempfile.mkdtemp(prefix=f"{checkpoint.name}-", dir=root))
    try:
        await _merge_apart(checkpoint, folder)
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _merge_apart(checkpoint: Checkpoint, folder: Path) -> None:
    adapter = await asyncio.to_thread(local, checkpoint.uri)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "continuum.deployment.backends.merging"),
        *(checkpoint.base_model, str(adapter.absolute()), str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await worker.communicate()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    if worker.returncode != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines() or [f"the process ended with {worker.returncode}"]
        raise DeploymentError(f"{checkpoint.name} cannot be merged with {checkpoint.base_model}: {lines[-1][:600]}")


def _remove_forgotten(root: Path, now: float) -> None:
    for folder in root.iterdir():
        if now - folder.stat().st_mtime > FORGOTTEN_S:
            shutil.rmtree(folder, ignore_errors=True)


def merge(base_model: str, adapter: Path, folder: Path) -> None:
    """Write the model that a base is with an adapter.

    The adapter is added in single precision on a CPU; what is written is rounded once, to the precision of the base's files.

    Args:
        base_model: a local path or a hub id.
        adapter: the adapter's folder.
        folder: where the model goes.

    Raises:
        ConfigurationError: there is no such base, or the adapter does not fit it.
        MissingExtra: the training extra is not installed.
    """
    try:
        from continuum.models.local import LocalModel  # torch, transformers and peft start here
    except ImportError as error:
        raise MissingExtra.of(error, "Merging an adapter with its base model") from error
    model = LocalModel(base_model)
    model.load_adapter("tuned", adapter)
    with model.switched_to("tuned") as tuned:
        whole = tuned.merge_and_unload(safe_merge=True)  # pyright: ignore[reportCallIssue]
    precision = _precision(base_model)
    if precision == "bfloat16":
        whole = whole.bfloat16()
    elif precision == "float16":
        whole = whole.half()
    whole.save_pretrained(str(folder))
    # Servers that are no Python read the chat template from tokenizer_config.json alone.
    model.tokenizer.save_pretrained(str(folder), save_jinja_files=False)


def _precision(base_model: str) -> str:
    from transformers import AutoConfig

    return str(AutoConfig.from_pretrained(base_model).dtype).removeprefix("torch.")


def architecture_of(folder: Path) -> str:
    """The class of a merged model, such as LlamaForCausalLM; what it does not say is unknown."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return next(iter(config.get("architectures") or ["an unknown architecture"]))


if __name__ == "__main__":
    try:
        merge(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except (ContinuumError, OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
