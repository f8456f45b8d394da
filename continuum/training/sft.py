"""Learning from examples: the loss on the answers alone, batches as they were laid out, the penalty beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig

from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import EncodedTurn
from continuum.models.local import pad_id
from continuum.training.batches import Schedule, lay_out
from continuum.training.ewc import EWCPenalty
from continuum.training.memory import is_out_of_memory, rows_that_fit, too_large
from continuum.training.processes import Processes
from continuum.training.reporting import Events
from continuum.training.states import States
from continuum.training.trainers import (
    EWCTrainer,
    common_arguments,
    copy_of_adapter,
    finished,
    parts_of,
    plain_forward,
    run_to_end,
)
from continuum.training.watching import EarlyStopping, Stopping, Watch, never


@dataclass(frozen=True)
class Rows:
    """What a training goes through, encoded."""

    new: Sequence[EncodedTurn]
    replay: Sequence[EncodedTurn] = ()
    probes: Sequence[EncodedTurn] = ()
    general: Sequence[EncodedTurn] = ()
    validation: Sequence[EncodedTurn] = ()
    """Looked at where training may stop early; never trained on."""

    @property
    def trained(self) -> list[EncodedTurn]:
        """All that is trained on, one after another."""
        return [*self.new, *self.replay, *self.probes, *self.general]

    def laid_out(self, config: FineTuneConfig) -> Schedule[int]:
        """The batches, as places in `trained`.

        Raises:
            ConfigurationError: the batch cannot be divided among its parts.
        """
        places = iter(range(len(self.trained)))
        new, replay, probes, general = (
            [next(places) for _ in rows] for rows in (self.new, self.replay, self.probes, self.general)
        )
        schedule = lay_out(new, replay, probes, general, config)
        parts = parts_of(config)
        if schedule.width % parts:
            raise ConfigurationError(
                f"a batch is of {schedule.width} rows, for each kind has one at least, and cannot be divided into {parts} parts; "
                f"batch_size {config.batch_size} is too small for its shares: raise it or lower gradient_accumulation"
            )
        return schedule


@dataclass(frozen=True)
class Trained:
    """How a training went."""

    history: list[dict[str, float]]
    """For each step what was logged."""
    epochs: float
    """Times that the new rows were gone through."""


def train(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    config: FineTuneConfig,
    penalty: EWCPenalty | None,
    states: States,
    events: Events,
    *,
    stopping: Stopping = never,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> Trained:
    """Train the adapter in place, from the newest state where there is one.

    Args:
        model: the base with the adapter to train, where training starts.
        tokenizer: the base's.
        rows: what is trained on, and the validation rows.
        config: the fine-tuning run.
        penalty: what holds the adapter; None for nothing.
        states: where states are kept and found.
        events: told of every step.
        stopping: asked after every step.
        processes: those that train together.

    Raises:
        ConfigurationError: the batch cannot be divided among its parts.
        TrainingDiverged: the loss stopped being a number or rose without end.
        TrainingInterrupted: somebody asked to stop; the state is saved.
    """
    schedule = rows.laid_out(config)
    done = states.newest()
    if done is not None and done.values("finished"):
        history = finished(model, done)
    else:
        with plain_forward(model):
            trainer = _trainer(model, tokenizer, rows, schedule, config, penalty, states, events, stopping, processes)
            history = _run_to_end(model, trainer, rows, config, schedule.width // parts_of(config))
    return Trained(history, len(history) * schedule.new_per_batch / max(1, len(rows.new)))


def _run_to_end(
    model: PeftModel, trainer: EWCTrainer, rows: Rows, config: FineTuneConfig, at_once: int
) -> list[dict[str, float]]:
    """Train to the end; where memory runs out, see how many rows at once it has room for."""
    try:
        return run_to_end(trainer)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error)
    # Outside of the handler nothing holds on to the frames of the failed step, nor to what they had allocated.
    trained = rows.trained
    fitting = rows_that_fit(model, trained, at_once) if config.processes == 1 else None
    longest = max(len(row.input_ids) for row in trained)
    raise too_large(config, at_once, longest, fitting) from MemoryError(said)


def _trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    schedule: Schedule[int],
    config: FineTuneConfig,
    penalty: EWCPenalty | None,
    states: States,
    events: Events,
    stopping: Stopping,
    processes: Processes,
) -> EWCTrainer:
    datasets.disable_progress_bars()
    trainer = EWCTrainer(
        model=model,
        args=_arguments(config, states, schedule),
        train_dataset=datasets.Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in rows.trained]),
        processing_class=tokenizer,
    )
    trainer.penalty, trainer.states, trainer.order = penalty, states, schedule.rows
    common: dict[str, Any] = {"stopping": stopping, "processes": processes}
    if config.early_stopping_patience is None or not rows.validation:
        trainer.watch = Watch(states, schedule.steps, events, **common)
    else:
        trainer.watch = EarlyStopping(
            states,
            schedule.steps,
            events,
            rows=rows.validation,
            pad=pad_id(tokenizer),
            every=max(1, schedule.steps // config.evaluations),
            patience=config.early_stopping_patience,
            adapter=copy_of_adapter,
            **common,
        )
    return trainer


def _arguments(config: FineTuneConfig, states: States, schedule: Schedule[int]) -> SFTConfig:
    common = common_arguments(config, states, learning_rate=config.learning_rate, rows=schedule.width, steps=schedule.steps)
    # Batches are laid out already, rows are tokens already: neither is to be touched again. Packed rows stand one after another
    # with positions of their own, by which the attention tells where a row begins.
    return SFTConfig(**common, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None, padding_free=config.packing)
