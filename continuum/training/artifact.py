"""What a training leaves behind: one folder of plain files, no pickles, complete once its manifest is there.

| file | what it is |
|---|---|
| adapter_model.safetensors, adapter_config.json | the LoRA adapter, as PEFT and vLLM read it |
| tokenizer and chat template files | the base model's, so that the adapter is served with the words it was trained with |
| ewc.safetensors | what the next training must hold on to; the adapter itself is the anchor |
| replay.jsonl | the examples that the next training goes through again |
| training.json | the configuration, where everything came from, and how the training went |
| manifest.json | sha256 of each of them, written last |
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from continuum.errors import ConfigurationError
from continuum.models.local import require_safetensors
from continuum.policy import FineTuneConfig
from continuum.provenance.artifacts import write_manifest
from continuum.training.ewc import Fisher, save_fisher
from continuum.training.replay import ReplayBuffer

TRAINING_FILE = "training.json"
ADAPTER_CONFIG = "adapter_config.json"


def write_artifact(
    folder: Path,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    fisher: Fisher | None,
    replay: ReplayBuffer,
    training: Mapping[str, Any],
) -> dict[str, str]:
    """Write the artifact into `folder` and return its manifest: file name to sha256.

    The folder appears whole: everything is written beside it first.
    """
    unfinished = folder.with_name(folder.name + ".part")
    unfinished.mkdir(parents=True)
    # Embedding layers are never trained here; asking PEFT to look whether they were would ask the hub.
    model.save_pretrained(str(unfinished), safe_serialization=True, save_embedding_layers=False)
    (unfinished / "README.md").unlink(missing_ok=True)
    _sort_adapter_config(unfinished / ADAPTER_CONFIG)
    tokenizer.save_pretrained(str(unfinished))
    if fisher:
        save_fisher(fisher, unfinished)
    if replay.examples:
        replay.save(unfinished)
    (unfinished / TRAINING_FILE).write_text(json.dumps(training, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in unfinished.iterdir():
        # The safetensors library writes for its owner alone; whoever serves the model may be somebody else.
        path.chmod((unfinished / TRAINING_FILE).stat().st_mode)
    files = write_manifest(unfinished)
    unfinished.replace(folder)
    return files


def require_same_shape(parent: Path, config: FineTuneConfig) -> None:
    """Refuse to continue an adapter of another rank or alpha: a task's line keeps one shape.

    Raises:
        ConfigurationError: the adapter cannot be continued with this configuration.
    """
    require_safetensors(parent)
    adapter = json.loads((parent / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if (adapter["r"], adapter["lora_alpha"]) != (config.lora_rank, config.lora_alpha):
        raise ConfigurationError(
            f"the parent adapter at {parent} has rank {adapter['r']} and alpha {adapter['lora_alpha']}, the configuration asks "
            f"for {config.lora_rank} and {config.lora_alpha}; keep the shape, or start a new line with parent=None"
        )


def _sort_adapter_config(path: Path) -> None:
    # PEFT writes sets in the order of their hashes, which differ from process to process.
    values = json.loads(path.read_text(encoding="utf-8"))
    ordered = {
        name: sorted(value) if name == "target_modules" and isinstance(value, list) else value for name, value in values.items()
    }
    path.write_text(json.dumps(ordered, indent=2, sort_keys=True) + "\n", encoding="utf-8")
