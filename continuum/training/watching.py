"""Who looks at a training step by step: tells how far it is, and ends a run that diverges, gets no better, or is asked to stop.

A run diverges when its loss or gradient is no number, or when its loss has stood above three times the first one, and a nat above
it, for ten steps on end. Between the first of those steps and the last no state is saved, and the states that led there are
removed: what stays on the disk is the last one whose loss was seen to be sound.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from continuum.errors import TrainingDiverged, TrainingInterrupted
from continuum.models.chat_format import EncodedTurn
from continuum.models.local import answer_losses
from continuum.training.processes import Processes
from continuum.training.reporting import Events
from continuum.training.states import States

RISE, MARGIN_NATS, STEPS_ABOVE = 3.0, 1.0, 10

Stopping = Callable[[], bool]
"""Whether somebody asked the training to stop."""


def never() -> bool:
    """Nobody asks."""
    return False


class Watch(TrainerCallback):
    """Looks at each step of one trainer.

    Args:
        states: the trainer's.
        steps: optimizer steps in all.
        events: told of every step.
        note: what is going on, in a word or two.
        stopping: asked after every step.
        processes: those that train together; all of them stop at the same step.
    """

    def __init__(
        self,
        states: States,
        steps: int,
        events: Events,
        *,
        note: str = "training",
        stopping: Stopping = never,
        processes: Processes = Processes(),  # noqa: B008 - frozen
    ) -> None:
        self.states, self.steps, self.events, self.note = states, steps, events, note
        self.stopping, self.processes = stopping, processes
        self.first_loss: float | None = None
        self.above = 0
        self.asked = False
        self.best: dict[str, torch.Tensor] = {}
        self.stopped_early = False

    @property
    def is_suspicious(self) -> bool:
        """Whether the last loss was one of those that may turn out to be divergence."""
        return self.above > 0

    def values(self) -> dict[str, Any]:
        """What a state keeps of it."""
        return {"first_loss": self.first_loss}

    def restore(self, values: Mapping[str, Any], best: dict[str, torch.Tensor]) -> None:
        """Go on from what a state kept."""
        self.first_loss, self.best = values["first_loss"], best

    def settle(self, step: int) -> None:
        """Say how the run ended, if not at its end.

        Raises:
            TrainingInterrupted: somebody asked to stop.
        """
        if self.asked and step < self.steps:
            raise TrainingInterrupted(
                f"{self.note} was asked to stop after step {step} of {self.steps}; run the same again and it goes on from there"
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights were changed."""
        if self.processes.any(self.stopping()):
            self.asked = True
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One step was logged."""
        if not logs or "loss" not in logs:
            return
        self._look_at(state.global_step, logs["loss"], logs.get("grad_norm", 0.0))
        kept = {name: float(value) for name, value in logs.items() if isinstance(value, (int, float))}
        self.events.step({"step": state.global_step} | kept)
        self.events.progress(state.global_step, self.steps, f"{self.note}, loss {logs['loss']:.3f}")

    def _look_at(self, step: int, loss: float, gradient: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(gradient)):
            self._diverged(step, step, f"the loss was {loss} and the gradient {gradient}")
        if self.first_loss is None:
            self.first_loss = loss
        self.above = self.above + 1 if loss > max(RISE * self.first_loss, self.first_loss + MARGIN_NATS) else 0
        if self.above >= STEPS_ABOVE:
            self._diverged(step, step - self.above + 1, f"the loss was {loss:.3f} after {self.first_loss:.3f} at the start")

    def _diverged(self, step: int, since: int, what: str) -> None:
        # The loss of a step is that of the weights before it: those that the step before left are unsound already.
        self.processes.once(lambda: self.states.drop_from(since - 1))
        kept = self.states.newest()
        where = f"the state after step {kept.step} is kept at {kept.folder}" if kept else "no state was saved before"
        raise TrainingDiverged(
            f"{self.note}: {what}, at step {step} of {self.steps}; "
            f"lower learning_rate, or lambda_ewc where it holds something; {where}"
        )


class EarlyStopping(Watch):
    """Looks at the validation rows too, and ends a run that no longer gets better; the best weights are kept.

    Args:
        rows: the validation rows.
        pad: id that fills a batch.
        every: optimizer steps between two looks.
        patience: looks without a better loss before the run ends.
        adapter: a copy of the weights as they are now.
        watch: the other arguments of `Watch`.
    """

    def __init__(
        self,
        *watch: Any,
        rows: Sequence[EncodedTurn],
        pad: int,
        every: int,
        patience: int,
        adapter: Callable[[torch.nn.Module], dict[str, torch.Tensor]],
        **named: Any,
    ) -> None:
        super().__init__(*watch, **named)
        self.rows, self.pad, self.every, self.patience, self.adapter = rows, pad, every, patience, adapter
        self.looks: list[tuple[int, float]] = []

    def values(self) -> dict[str, Any]:
        """What a state keeps of it."""
        return super().values() | {"looks": self.looks, "stopped_early": self.stopped_early}

    def restore(self, values: Mapping[str, Any], best: dict[str, torch.Tensor]) -> None:
        """Go on from what a state kept."""
        super().restore(values, best)
        self.looks = [(int(step), float(loss)) for step, loss in values["looks"]]
        self.stopped_early = values["stopped_early"]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights were changed: now and then, see what that is worth."""
        if state.global_step % self.every == 0 or state.global_step == self.steps:
            self._look(state.global_step, kwargs["model"])
            if self.stopped_early:
                control.should_save = control.should_training_stop = True
        super().on_step_end(args, state, control, **kwargs)

    def _look(self, step: int, model: torch.nn.Module) -> None:
        loss = statistics.fmean(answer_losses(model.eval(), self.rows, self.pad))
        model.train()
        better = not self.looks or loss < min(seen for _, seen in self.looks)
        self.looks.append((step, loss))
        if better:
            self.best = self.adapter(model)
        last_better = min(range(len(self.looks)), key=lambda n: self.looks[n][1])
        waited = len(self.looks) - 1 - last_better
        self.stopped_early = self.processes.any(waited >= self.patience) and step < self.steps
