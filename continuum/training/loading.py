"""The model that is trained: the base in the precision asked for, and on it the parent's adapter or a new one.

The base comes from a local path or a hub id, its weights from safetensors alone; it is never changed.
"""

import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig, PreTrainedModel, set_seed

from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.models.local import load_base, quiet_peft
from continuum.training.artifact import require_same_shape
from continuum.training.memory import is_out_of_memory
from continuum.training.trainers import is_bf16

T = TypeVar("T")


def base_for_training(base_model: str, config: FineTuneConfig) -> PreTrainedModel:
    """The base in the precision that the configuration asks for.

    Raises:
        ConfigurationError: there is no such model, it does not fit in memory, or it cannot be had in four bits here.
    """
    quantization = in_four_bits() if config.load_in_4bit else None
    dtype = torch.bfloat16 if is_bf16(config) else torch.float32
    try:
        base = load_base(base_model, dtype=dtype, quantization=quantization)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigurationError(
            f"the base model {base_model!r} does not fit in memory; set precision='bf16', or load_in_4bit=True where there is a "
            "GPU, or train a smaller base model or on a larger machine"
        ) from error
    if quantization is not None:
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    return base


def in_four_bits() -> Any:
    """The configuration of QLoRA: four-bit NormalFloat, doubly quantised (Dettmers et al. 2023, section 3).

    Raises:
        ConfigurationError: bitsandbytes or a GPU is missing; the message says which.
    """
    missing = [
        *([] if torch.cuda.is_available() else ["a CUDA GPU"]),
        *([] if find_spec("bitsandbytes") else ["the package 'bitsandbytes' (pip install bitsandbytes)"]),
    ]
    if missing:
        raise ConfigurationError(
            f"load_in_4bit needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not here; "
            "set load_in_4bit=False, or train where there is one"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def adapted(base: PreTrainedModel, parent: Path | None, config: FineTuneConfig) -> PeftModel:
    """The base with the parent's adapter, or with a new one that changes nothing yet.

    Raises:
        ConfigurationError: the parent's adapter has another shape, or is of another base.
    """
    if parent is not None:
        require_same_shape(parent, config)
        try:
            with quiet_peft():
                return PeftModel.from_pretrained(base, str(parent), is_trainable=True)
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(f"the adapter at {parent} does not fit the base model: {error}") from error
    set_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        model = get_peft_model(base, lora)
    assert isinstance(model, PeftModel)  # noqa: S101 - a LoRA for a causal model is never a mixed one
    return model


def sample(rows: Sequence[T], size: int, seed: int) -> list[T]:
    """At most `size` of the rows, the same for the same seed."""
    return list(rows) if len(rows) <= size else random.Random(seed).sample(list(rows), size)
