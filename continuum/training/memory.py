"""What to say when memory runs out: how many rows at a time would have fitted, found by trying."""

import gc
from collections.abc import Sequence

import torch

from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import EncodedTurn
from continuum.models.local import padded

WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that no memory was left; on a CPU torch has no class for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)


def too_large(config: FineTuneConfig, rows: int, longest: int, fitting: int | None) -> ConfigurationError:
    """The error that names what would fit.

    Args:
        config: the run that did not fit.
        rows: computed at once, in each process.
        longest: tokens of the longest row.
        fitting: rows that do fit at once; None where that was not tried.
    """
    found = f"{rows} rows of up to {longest} tokens at once do not fit in memory"
    others = "lower max_length" + ("" if config.gradient_checkpointing else ", set gradient_checkpointing=True")
    if fitting == 0:
        return ConfigurationError(f"{found}, and not even 1 does; {others}, or train a smaller base model or on a larger machine")
    wanted = fitting or max(1, rows // 2)
    parts = next(
        (
            parts
            for parts in range(config.gradient_accumulation, config.batch_size + 1)
            if config.batch_size % (parts * config.processes) == 0 and config.batch_size // (parts * config.processes) <= wanted
        ),
        None,
    )
    same = f"gradient_accumulation={parts} learns the same from as little, or set " if parts else ""
    certain = f"{fitting} at once do fit: " if fitting else "fewer may fit: "
    smaller = wanted * config.processes * config.gradient_accumulation
    return ConfigurationError(f"{found}; {certain}{same}batch_size={smaller}; or {others}")


def rows_that_fit(model: torch.nn.Module, rows: Sequence[EncodedTurn], tried: int) -> int:
    """The most rows as long as the longest, among halves of what was tried, that a step of training has room for; 0 for none.

    Args:
        model: as the trainer left it.
        rows: that are trained on.
        tried: rows that did not fit.
    """
    longest = max(rows, key=lambda row: len(row.input_ids))
    size = tried // 2
    while size and not _fits(model, [longest] * size):
        size //= 2
    return size


def _fits(model: torch.nn.Module, rows: Sequence[EncodedTurn]) -> bool:
    free_memory()
    model.train()
    try:
        ids, mask, labels = padded(rows, 0, next(model.parameters()).device)
        # The trainer has taught the model to compute the loss without building all logits at once.
        said = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False)
        said.log_probs.sum().backward()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        model.zero_grad(set_to_none=True)
    return True


def free_memory() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
