"""One fine-tuning: the parent's adapter or a new one, TRL's supervised trainer, the EWC penalty, and the artifact.

The loss is taken on the answers alone. What holds the model is in every batch (replayed examples, constraint probes) and in the
penalty; with all of it switched off this is a plain LoRA.
"""

import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import datasets
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback, set_seed
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from continuum.constitution.constraints import Constraint, training_turns
from continuum.errors import TrainingDiverged
from continuum.models.chat_format import EncodedTurn, encode_turns
from continuum.models.local import answer_losses, context_of, load_base, load_tokenizer, pad_id, quiet_peft
from continuum.policy import FineTuneConfig
from continuum.progress import Progress, silent
from continuum.records import Example
from continuum.training.artifact import require_same_shape, write_artifact
from continuum.training.batches import Schedule, lay_out
from continuum.training.ewc import EWCPenalty, Fisher, accumulate, load_fisher, lora_layers
from continuum.training.fisher import estimate_fisher
from continuum.training.replay import ReplayBuffer

MEASURED_ROWS = 256
"""The loss before and after is measured on at most this many training rows."""

# Trainers share process-wide state: the random generators and accelerate's singletons.
ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Job:
    """Everything one fine-tuning needs."""

    base_model: str
    config: FineTuneConfig
    train: tuple[Example, ...]
    folder: Path
    """Where the artifact goes; it must not exist."""
    validation: tuple[Example, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    parent: Path | None = None
    """The artifact to continue."""
    forbidden: frozenset[str] = frozenset()
    """Ids of interactions that must not be replayed: they are golden now, or forgotten."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where the job comes from; written into the artifact."""


@dataclass(frozen=True)
class FitReport:
    """How a fine-tuning went; losses are mean nats per answer token, before and after, on the same rows."""

    initial_loss: float
    final_loss: float
    initial_validation_loss: float | None
    final_validation_loss: float | None
    steps: int
    replayed: int
    """Examples of earlier turns that could be replayed."""
    probes: int
    ewc_penalty: float
    """The penalty at the end; 0 when nothing is held."""
    fisher_trace: float
    """Of the Fisher that the penalty used; 0 when nothing is held."""
    history: tuple[dict[str, float], ...]
    """For each step: step, loss, learning_rate, and ewc_penalty when there is one."""
    manifest: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def fit(job: Job, on_progress: Progress = silent) -> FitReport:
    """Train and write the artifact.

    The same job gives the same adapter, byte for byte, on the same kind of CPU with the same number of threads.

    Raises:
        ConfigurationError: the base model or the parent cannot be used.
        TrainingDiverged: the loss stopped being a number; nothing is written.
    """
    with ONE_AT_A_TIME:
        return _Fit(job, on_progress).run()


class _Fit:
    def __init__(self, job: Job, on_progress: Progress) -> None:
        self.job, self.config, self.on_progress = job, job.config, on_progress
        on_progress(0, 1, "loading the base model")
        set_seed(job.config.seed)
        self.tokenizer = load_tokenizer(job.base_model)
        base = load_base(job.base_model)
        self.model = _adapted(job, base)
        self.layers = lora_layers(self.model)
        # Rows are cut to what the model reads when it serves, whatever the configuration allows.
        self.longest = min(job.config.max_length, context_of(base) or job.config.max_length)
        self.buffer = ReplayBuffer.load(job.parent) if job.parent else ReplayBuffer()
        current = {example.interaction_id for example in job.train}
        replayable = self.buffer.without(job.forbidden | current).examples if self.config.replay_buffer_size else ()
        self.new = self._encoded(job.train)
        self.validation = self._encoded(job.validation)
        self.replay = self._encoded(replayable[: self.config.replay_buffer_size])
        self.probes = encode_turns(self.tokenizer, training_turns(job.constraints), self.longest)

    def run(self) -> FitReport:
        started = time.perf_counter()
        measured = _sample(self.new, MEASURED_ROWS, self.config.seed)
        before, validation_before = self._loss(measured), self._validation_loss()
        held = self._fisher_to_hold()
        penalty = EWCPenalty(self.layers, held, self.config.forgetting_prevention.lambda_ewc) if held else None
        schedule = lay_out(self.new, self.replay, self.probes, self.config)
        history = train(self.model, self.tokenizer, schedule, self.config, penalty, self.on_progress)
        report = FitReport(
            initial_loss=before,
            final_loss=self._loss(measured),
            initial_validation_loss=validation_before,
            final_validation_loss=self._validation_loss(),
            steps=schedule.steps,
            replayed=len(self.replay),
            probes=len(self.probes),
            ewc_penalty=float(penalty().detach()) if penalty else 0.0,
            fisher_trace=sum(layer.trace for layer in held.values()),
            history=tuple(history),
        )
        manifest = self._write(self._fisher_of_this_turn(held), report)
        return replace(report, manifest=manifest, seconds=time.perf_counter() - started)

    def _write(self, fisher: Fisher | None, report: FitReport) -> dict[str, str]:
        # How long it took is not part of the artifact: the same job leaves the same files.
        outcome = {name: value for name, value in asdict(report).items() if name not in {"manifest", "seconds", "history"}}
        return write_artifact(
            self.job.folder,
            self.model,
            self.tokenizer,
            fisher=fisher,
            replay=self._next_buffer(),
            training={"config": self.config.model_dump(mode="json"), "origin": self.job.origin, "outcome": outcome},
        )

    def _encoded(self, examples: Sequence[Example]) -> list[EncodedTurn]:
        turns = [(example.messages, example.response) for example in examples]
        return encode_turns(self.tokenizer, turns, self.longest)

    def _validation_loss(self) -> float | None:
        return self._loss(self.validation) if self.validation else None

    def _loss(self, rows: Sequence[EncodedTurn]) -> float:
        losses = answer_losses(self.model.eval(), rows, pad_id(self.tokenizer))
        return sum(losses) / len(losses)

    @property
    def _holds(self) -> bool:
        ewc = self.config.forgetting_prevention
        return ewc.enabled and ewc.lambda_ewc > 0

    def _fisher_to_hold(self) -> Fisher:
        """The Fisher of the turns before this one: the one the parent left, or of its rows where it was trained without.

        The first turn of a line holds on to nothing: it is the probes in its batches that keep the constraints.
        """
        if not self._holds or self.job.parent is None:
            return {}
        return load_fisher(self.job.parent) or self._estimate([*self.replay, *self.probes])

    def _fisher_of_this_turn(self, held: Fisher) -> Fisher | None:
        return accumulate(held, self._estimate([*self.new, *self.probes])) if self._holds else None

    def _estimate(self, rows: Sequence[EncodedTurn]) -> Fisher:
        chosen = _sample(rows, self.config.forgetting_prevention.fisher_samples, self.config.seed)
        pad = pad_id(self.tokenizer)
        return estimate_fisher(self.model, self.layers, chosen, pad=pad, seed=self.config.seed, on_progress=self.on_progress)

    def _next_buffer(self) -> ReplayBuffer:
        size = self.config.replay_buffer_size
        return self.buffer.without(self.job.forbidden).extended(self.job.train, size=size, seed=self.config.seed)


def train(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    schedule: Schedule[EncodedTurn],
    config: FineTuneConfig,
    penalty: EWCPenalty | None,
    on_progress: Progress = silent,
) -> list[dict[str, float]]:
    """Train the adapter in place, batch by batch as the schedule says; returns what was logged at each step.

    Raises:
        TrainingDiverged: the loss stopped being a number.
    """
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in schedule.rows])
    watch = _Watch(schedule.steps, on_progress)
    with tempfile.TemporaryDirectory(prefix="continuum-training-") as scratch:
        trainer = EWCTrainer(
            model=model,
            args=_arguments(scratch, schedule, config),
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[watch],
        )
        trainer.penalty = penalty
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return watch.history


class EWCTrainer(SFTTrainer):
    """TRL's supervised trainer with the penalty added to its loss."""

    penalty: EWCPenalty | None = None

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The loss of the batch plus the penalty, once for each optimizer step."""
        computed = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.penalty is None or not model.training:
            return computed
        loss, *outputs = computed if return_outputs else (computed,)
        penalty = self.penalty()
        self._metrics["train"]["ewc_penalty"].append(float(penalty.detach()))
        if num_items_in_batch is not None:
            # The trainer does not divide by the accumulation steps then, so each micro-batch carries its part.
            penalty = penalty / self.current_gradient_accumulation_steps
        loss = loss + penalty.to(loss.device)
        return (loss, *outputs) if return_outputs else loss


class _Watch(TrainerCallback):
    """Keeps what is logged, tells how far it is, and stops a run whose loss is no longer a number."""

    def __init__(self, steps: int, on_progress: Progress) -> None:
        self.steps, self.on_progress = steps, on_progress
        self.history: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One step was logged."""
        if not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise TrainingDiverged(
                f"the loss was {logs['loss']} at step {state.global_step} of {self.steps}; lower learning_rate or lambda_ewc"
            )
        kept = {name: float(logs[name]) for name in ("loss", "learning_rate", "ewc_penalty") if name in logs}
        self.history.append({"step": state.global_step, **kept})
        self.on_progress(state.global_step, self.steps, f"training, loss {logs['loss']:.3f}")


def _adapted(job: Job, base: PreTrainedModel) -> PeftModel:
    """The base model with the parent's adapter, or with a new one that changes nothing yet."""
    if job.parent is not None:
        require_same_shape(job.parent, job.config)
        with quiet_peft():
            return PeftModel.from_pretrained(base, str(job.parent), is_trainable=True)
    lora = LoraConfig(
        r=job.config.lora_rank,
        lora_alpha=job.config.lora_alpha,
        target_modules="all-linear",
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with quiet_peft():
        adapted = get_peft_model(base, lora)
    assert isinstance(adapted, PeftModel)  # noqa: S101 - a LoRA for a causal model is never a mixed one
    return adapted


def _arguments(scratch: str, schedule: Schedule[EncodedTurn], config: FineTuneConfig) -> SFTConfig:
    on_gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=scratch,
        per_device_train_batch_size=schedule.width,
        num_train_epochs=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, schedule.steps // 10),
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=config.seed,
        # Batches are laid out already, rows are tokens already: neither is to be touched again.
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        use_cpu=not on_gpu,
        bf16=on_gpu,
        activation_checkpointing=on_gpu,
        dataloader_pin_memory=on_gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
    )


def _sample(rows: Sequence[EncodedTurn], size: int, seed: int) -> list[EncodedTurn]:
    return list(rows) if len(rows) <= size else random.Random(seed).sample(list(rows), size)
