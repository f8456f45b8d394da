"""What a training leaves behind: one folder of plain files, no pickles, complete once its manifest is there.

| file | what it is |
|---|---|
| adapter_model.safetensors, adapter_config.json | the LoRA adapter, as PEFT and vLLM read it |
| tokenizer and chat template files | the base model's, so that the adapter is served with the words it was trained with |
| ewc.safetensors | what the next training must hold on to; the adapter itself is the anchor |
| replay.jsonl | the examples that the next training goes through again, their ids with them |
| forgetting.json | losses on held-out rows and answers to trials, before and after |
| training.json | the job, its inputs with their sha256, the code that ran it, and how the training went |
| manifest.json | sha256 of each of them, written last |

Neither the time nor the machine is written down: the same job leaves the same bytes.
"""

import json
import shutil
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from continuum.errors import ConfigurationError, StoreError
from continuum.fine_tuning import FineTuneConfig
from continuum.models.local import require_safetensors
from continuum.provenance.artifacts import MANIFEST, write_manifest
from continuum.training.ewc import Fisher, save_fisher
from continuum.training.job import Job
from continuum.training.measured import Measured
from continuum.training.replay import ReplayBuffer
from continuum.training.states import sync_folder

TRAINING_FILE = "training.json"
ADAPTER_CONFIG = "adapter_config.json"
PACKAGE = Path(__file__).parents[1]


def write_artifact(
    folder: Path,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    weights: Mapping[str, torch.Tensor],
    fisher: Fisher | None,
    replay: ReplayBuffer,
    training: Mapping[str, Any],
    measured: Measured | None = None,
) -> dict[str, str]:
    """Write the artifact into `folder` and return its manifest: file name to sha256.

    The folder appears whole: everything is written beside it first, and what an attempt before this one left there is removed.

    Args:
        folder: where it goes; there may be nothing but an artifact of the same job.
        model: the base with the adapter.
        tokenizer: the base's.
        weights: the adapter's, whole, by the names they have in the model.
        fisher: what the next training must hold on to; None for nothing.
        replay: what the next training goes through again.
        training: the content of `training.json`.
        measured: what the training measured of itself; None for nothing.

    Raises:
        StoreError: there is an artifact of another job at this place.
    """
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    if folder.exists():
        _require_earlier_attempt(folder, training)
        shutil.rmtree(folder)
    unfinished.mkdir(parents=True)
    try:
        files = _write(unfinished, model, tokenizer, weights, fisher, replay, training, measured)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(unfinished)
    unfinished.replace(folder)
    sync_folder(folder.parent)
    return files


def _write(
    folder: Path,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    weights: Mapping[str, torch.Tensor],
    fisher: Fisher | None,
    replay: ReplayBuffer,
    training: Mapping[str, Any],
    measured: Measured | None,
) -> dict[str, str]:
    # Embedding layers are never trained here; asking PEFT to look whether they were would ask the hub.
    model.save_pretrained(
        str(folder),
        safe_serialization=True,
        save_embedding_layers=False,
        selected_adapters=["default"],
        state_dict=dict(weights),
    )
    (folder / "README.md").unlink(missing_ok=True)
    _sort_adapter_config(folder / ADAPTER_CONFIG)
    tokenizer.save_pretrained(str(folder))
    if fisher:
        save_fisher(fisher, folder)
    if replay.rows:
        replay.save(folder)
    if measured is not None:
        measured.save(folder)
    (folder / TRAINING_FILE).write_text(json.dumps(training, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        # The safetensors library writes for its owner alone; whoever serves the model may be somebody else.
        path.chmod((folder / TRAINING_FILE).stat().st_mode)
    return write_manifest(folder)


def provenance(job: Job) -> dict[str, Any]:
    """Where an artifact comes from: everything that its bytes follow from."""
    return {
        "job": job.key,
        "task": job.task,
        "dataset": job.dataset,
        "base_model": job.base_model,
        "base_revision": job.base_revision,
        "parent": job.parent_id,
        "parent_manifest": job.parent_manifest,
        "config": job.config.model_dump(mode="json"),
        "seed": job.config.seed,
        "inputs": job.inputs,
        "origin": job.origin,
        "code": {"version": code_version(), "sha256": code_sha256()},
    }


def code_version() -> str:
    """The version of Continuum that is installed; empty where it runs from a folder."""
    try:
        return version("continuum-ai")
    except PackageNotFoundError:
        return ""


@cache
def code_sha256() -> str:
    """The sha256 over the package's own source files, which tells one state of an unreleased version from another."""
    digest = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def require_same_shape(parent: Path, config: FineTuneConfig) -> None:
    """Refuse to continue an adapter of another rank or alpha: a task's line keeps one shape.

    Raises:
        ConfigurationError: the adapter cannot be continued with this configuration.
    """
    require_safetensors(parent)
    try:
        adapter = json.loads((parent / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        shape = (adapter["r"], adapter["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{parent / ADAPTER_CONFIG} cannot be read as an adapter's configuration: {error}") from error
    if shape != (config.lora_rank, config.lora_alpha):
        raise ConfigurationError(
            f"the parent adapter at {parent} has rank {shape[0]} and alpha {shape[1]}, the configuration asks "
            f"for {config.lora_rank} and {config.lora_alpha}; keep the shape, or start a new line with parent=None"
        )


def _require_earlier_attempt(folder: Path, training: Mapping[str, Any]) -> None:
    """An attempt that was killed after it wrote the artifact and before it said so left one of the same job."""
    try:
        found = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["job"] if (folder / MANIFEST).is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found is None or found != training.get("job"):
        raise StoreError(f"{folder} is there already and is no artifact of this job; name another folder, or remove it")


def _sort_adapter_config(path: Path) -> None:
    # PEFT writes sets in the order of their hashes, which differ from process to process.
    values = json.loads(path.read_text(encoding="utf-8"))
    ordered = {
        name: sorted(value) if name == "target_modules" and isinstance(value, list) else value for name, value in values.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True) + "\n", encoding="utf-8")
