"""TRL's trainers with what a training that must survive needs: the penalty in the loss, rows in the order they were laid out,
and states of our own instead of the Trainer's checkpoints, which are pickles and are believed half-written.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from peft import PeftModel
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.data import Sampler
from transformers import PrinterCallback
from transformers.trainer import TRAINER_STATE_NAME
from trl.trainer.sft_trainer import SFTTrainer

from continuum.fine_tuning import FineTuneConfig
from continuum.training.ewc import EWCPenalty
from continuum.training.processes import PATIENCE
from continuum.training.states import State, States, random_state, set_random_state
from continuum.training.watching import Watch

TRAINER_STATE = TRAINER_STATE_NAME.removesuffix(".json")
KEPT_OF_LOG = ("step", "loss", "learning_rate", "ewc_penalty", "l2_distance")


class Surviving:
    """Mixed in before a TRL trainer, which is then used through `run_to_end` alone.

    Attributes:
        penalty: added to the loss once for each optimizer step; None for none.
        states: where states are saved and found.
        order: indices of the training rows in the order they are trained on; None for the trainer's own order.
        watch: who looks at each step.
    """

    penalty: EWCPenalty | None = None
    states: States
    order: Sequence[int] | None = None
    watch: Watch
    moved: Mapping[str, torch.Tensor] = MappingProxyType({})

    def compute_loss(self: Any, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The loss of the batch, and the penalty with the last part of each batch."""
        computed = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # pyright: ignore[reportAttributeAccessIssue]
        if self.penalty is None or not model.training or not self.accelerator.sync_gradients:
            return computed
        loss, *outputs = computed if return_outputs else (computed,)
        moved = self.penalty.displacement()
        # Read when the step is logged, so that a GPU need not wait here.
        self.moved = {"ewc_penalty": moved.penalty.detach(), "l2_distance": moved.l2_distance}
        penalty = moved.penalty
        if not self._divides_by_itself(num_items_in_batch):
            # The Trainer divides what comes from here by the number of parts.
            penalty = penalty * self.current_gradient_accumulation_steps
        loss = loss + penalty.to(loss.device)
        return (loss, *outputs) if return_outputs else loss

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        """What the trainer logs, and how far the adapter has moved."""
        if "loss" in logs:
            logs |= {name: float(value) for name, value in self.moved.items()}
        super().log(logs, start_time)  # pyright: ignore[reportAttributeAccessIssue]

    def _divides_by_itself(self: Any, num_items_in_batch: Any) -> bool:
        if self.loss_is_scaled_for_ga is not None:
            return self.loss_is_scaled_for_ga
        return (self.model_accepts_loss_kwargs and num_items_in_batch is not None) or self.compute_loss_func is not None

    def _get_train_sampler(self: Any, train_dataset: Any = None) -> Any:
        if self.order is not None:
            return _AsLaidOut(self.order)
        return super()._get_train_sampler(train_dataset)  # pyright: ignore[reportAttributeAccessIssue]

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        if self.watch.is_suspicious:
            return
        # In a sharded model every process has a part of each tensor, so all of them gather and one writes.
        adapter = {name: _whole(value.detach()) for name, value in trained(self.model).items()}
        optimizer = self.optimizer.state_dict()
        moments = {
            f"{index}.{name}": _whole(value)
            for index, named in optimizer["state"].items()
            for name, value in named.items()
            if isinstance(value, torch.Tensor)
        }
        if not self.args.should_save:
            return
        generators, drawn = random_state()
        self.states.save(
            self.state.global_step,
            {"adapter": adapter, "optimizer": moments, "random": generators, "best": self.watch.best},
            {
                "optimizer": optimizer["param_groups"],
                "scheduler": self.lr_scheduler.state_dict(),
                "random": drawn,
                "watch": self.watch.values(),
                "finished": self.state.global_step >= self.state.max_steps or self.watch.stopped_early,
                TRAINER_STATE: _trainer_state(self.state),
            },
        )

    def _load_from_checkpoint(self: Any, resume_from_checkpoint: str, model: Any = None) -> None:
        state = State.of(resume_from_checkpoint)
        set_adapter(self.model, state.tensors("adapter"))
        self.watch.restore(state.values("watch"), state.tensors("best"))

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state = State.of(checkpoint)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in state.tensors("optimizer").items():
            index, _, kind = name.partition(".")
            moments.setdefault(int(index), {})[kind] = _like(value, parameters[int(index)])
        groups = [
            {name: tuple(value) if name == "betas" else value for name, value in group.items()}
            for group in state.values("optimizer")
        ]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.lr_scheduler.load_state_dict(state.values("scheduler"))

    def _load_rng_state(self: Any, checkpoint: str | None) -> None:
        if checkpoint is not None:
            state = State.of(checkpoint)
            set_random_state(state.tensors("random"), state.values("random"))

    def _load_scaler(self: Any, checkpoint: str | None) -> None:
        """Nothing: bf16 needs no scaling of gradients."""


class EWCTrainer(Surviving, SFTTrainer):
    """TRL's supervised trainer that survives."""


def run_to_end(trainer: Any) -> list[dict[str, float]]:
    """Train to the end from the newest state, or from the beginning; the adapter is then the one to keep.

    Args:
        trainer: a TRL trainer with `Surviving` mixed in, its `states` and its `watch` set.

    Returns:
        What was logged at each step, those before an interruption too.

    Raises:
        TrainingDiverged: the loss stopped being a number or rose without end.
        TrainingInterrupted: somebody asked to stop; the state is saved.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(trainer.watch)
    state = trainer.states.newest()
    if state is not None and state.values("finished"):
        return finished(trainer.model, state)
    trainer.train(resume_from_checkpoint=str(state.folder) if state else None)
    trainer.watch.settle(trainer.state.global_step)
    if trainer.watch.best:
        set_adapter(trainer.model, trainer.watch.best)
    return history_of(trainer.state.log_history)


def finished(model: torch.nn.Module, state: State) -> list[dict[str, float]]:
    """Put the weights of a training that is done into the model; returns what was logged."""
    set_adapter(model, state.tensors("best") or state.tensors("adapter"))
    return history_of(state.values(TRAINER_STATE)["log_history"])


@contextmanager
def plain_forward(model: PeftModel) -> Iterator[None]:
    """Take back the forward that TRL's trainers give the base for good, one around the other."""
    base = model.get_base_model()
    before = base.__dict__.get("forward")
    try:
        yield
    finally:
        base.__dict__.pop("forward", None)
        if before is not None:
            base.forward = before


def history_of(log: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """What is kept of the Trainer's log: one row a step."""
    return [{name: row[name] for name in KEPT_OF_LOG if name in row} for row in log if "loss" in row]


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The weights that training changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def set_adapter(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give the weights that training changes the values that were saved."""
    for name, parameter in trained(model).items():
        parameter.copy_(_like(tensors[name], parameter))


def copy_of_adapter(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that training changes, as they are now."""
    return {name: _whole(parameter.detach()).clone() for name, parameter in trained(model).items()}


def common_arguments(config: FineTuneConfig, states: States, *, learning_rate: float, rows: int, steps: int) -> dict[str, Any]:
    """Arguments that every trainer of a run gets.

    Args:
        config: the fine-tuning run.
        states: where states are kept.
        learning_rate: the highest; it rises for a tenth of the steps and falls to zero along a cosine.
        rows: of an optimizer step, over all parts and processes, which divide them.
        steps: optimizer steps in all.
    """
    on_gpu = torch.cuda.is_available()
    checkpointing = on_gpu if config.gradient_checkpointing is None else config.gradient_checkpointing
    return {
        "output_dir": str(states.folder),
        "per_device_train_batch_size": rows // parts_of(config),
        "gradient_accumulation_steps": config.gradient_accumulation,
        "num_train_epochs": 1,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        # A run of a few steps has none to spare: the rate of a first step that rises from nothing is nothing.
        "warmup_steps": steps // 10,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": config.seed,
        "use_cpu": not on_gpu,
        "bf16": is_bf16(config),
        "activation_checkpointing": checkpointing,
        "dataloader_pin_memory": on_gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "steps",
        "save_steps": config.checkpoint_every,
        "ddp_timeout": int(PATIENCE.total_seconds()),
    }


def parts_of(config: FineTuneConfig) -> int:
    """How many parts a batch is computed in, over all processes."""
    return config.processes * config.gradient_accumulation


def is_bf16(config: FineTuneConfig) -> bool:
    """Whether a run computes in bfloat16."""
    return config.precision == "bf16" or (config.precision == "auto" and torch.cuda.is_available())


class _AsLaidOut(Sampler[int]):
    def __init__(self, order: Sequence[int]) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """The tensor where the parameter is, divided among processes as the parameter is."""
    if isinstance(parameter, DTensor) and tensor.shape == parameter.shape:
        return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)
    return tensor


def _trainer_state(state: Any) -> dict[str, Any]:
    """The Trainer's own account of where it is, without callbacks: ours keep their own."""
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)} | {"stateful_callbacks": {}}
