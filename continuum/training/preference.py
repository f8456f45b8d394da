"""Learning from what people preferred, after the examples: pairs by DPO, answers that were called good or bad by KTO.

The reference that either may not stray from is the adapter as the examples left it, never the base: what the model would say of
each answer is computed once, before the first step, so that a run that was killed finds the same reference again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.fine_tuning import FineTuneConfig
from continuum.models.local import quiet_peft
from continuum.training.ewc import EWCPenalty
from continuum.training.preference_rows import (
    Row,
    beside_others,
    encode_answers,
    encode_pairs,
    lay_out_preferences,
    parts_of,
    weights_of,
)
from continuum.training.processes import Processes
from continuum.training.reporting import Events
from continuum.training.states import States
from continuum.training.trainers import Surviving, common_arguments, finished, plain_forward, run_to_end
from continuum.training.watching import Stopping, Watch, never

REFERENCE = "ref"
"""The name under which TRL copies the adapter to ask it for the reference."""
SHARE_OF_RATE = 0.1
SFT_WEIGHT = 1.0
"""Of the chosen answers' own loss beside DPO's, which alone is content when both answers of a pair get less likely."""


@dataclass(frozen=True)
class Preferred:
    """How it went."""

    pairs: int
    """Pairs that were trained on; those whose two answers read alike are not."""
    answers: int
    """Answers that were trained on."""
    history: list[dict[str, float]]
    """For each step what was logged."""

    @property
    def rows(self) -> int:
        """Pairs and answers; 0 when nobody has corrected or rated anything."""
        return self.pairs + self.answers


def tune_preferences(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    pairs: Sequence[PreferencePair],
    answers: Sequence[RatedAnswer],
    config: FineTuneConfig,
    limit: int,
    penalty: EWCPenalty | None,
    states: States,
    events: Events,
    stopping: Stopping = never,
    processes: Processes = Processes(),  # noqa: B008 - frozen
    sft_weight: float = SFT_WEIGHT,
) -> Preferred:
    """Train the adapter in place on pairs, then on rated answers, each from its newest state where there is one.

    Without any there is nothing to do, which is no error: a turn must not fail because nobody corrected anything.

    Args:
        model: the base with the adapter as the examples left it.
        tokenizer: the base's.
        pairs: two answers to one context (DPO, Rafailov et al. 2023, eq. 7, with the loss of the chosen answer beside it).
        answers: answers called good or bad (KTO, Ethayarajh et al. 2024, eq. 7).
        config: the fine-tuning run; `preference_*` and the batch are read.
        limit: tokens a row; a longer one loses the beginning of its conversation, then the end of its answer.
        penalty: what holds the adapter, as it does while it learns from examples; None for nothing.
        states: where states are kept and found, in a folder for each of the two.
        events: told of every step.
        stopping: asked after every step.
        processes: those that train together.
        sft_weight: of the chosen answers' own loss beside DPO's.

    Raises:
        TrainingDiverged: the loss stopped being a number or rose without end.
        TrainingInterrupted: somebody asked to stop; the state is saved.
    """
    shared: dict[str, Any] = {"penalty": penalty, "events": events, "stopping": stopping, "processes": processes}
    contests = encode_pairs(tokenizer, pairs, limit)
    rated = encode_answers(tokenizer, answers, limit)
    history: list[dict[str, float]] = []
    if contests:
        width, order = lay_out_preferences(len(contests), config)
        at = States(states.folder / "pairs")
        arguments = _pair_arguments(config, at, width, order, sft_weight)
        history += _stage(model, tokenizer, _PairTrainer, contests, order, arguments, at, **shared)
    if rated:
        width, order = lay_out_preferences(len(rated), config, at_once=2)
        at = States(states.folder / "answers")
        laid_out = beside_others([rated[n] for n in order], width // parts_of(config), limit)
        arguments = _answer_arguments(config, at, width, order, weights_of(rated))
        history += _stage(model, tokenizer, _AnswerTrainer, laid_out, range(len(order)), arguments, at, **shared)
    return Preferred(len(contests), len(rated), history)


class _PairTrainer(Surviving, DPOTrainer):
    """TRL's DPO that survives, on rows that are tokens already."""

    reference = ("ref_chosen_logps", "ref_rejected_logps")

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset


class _AnswerTrainer(Surviving, KTOTrainer):
    """TRL's KTO that survives, on rows that are tokens already and have their neighbours beside them."""

    reference = ("ref_logps", "ref_KL_logps")

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset


def _stage(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    trainer_class: type[_PairTrainer] | type[_AnswerTrainer],
    rows: Sequence[Row],
    order: Sequence[int],
    arguments: Any,
    states: States,
    *,
    penalty: EWCPenalty | None,
    events: Events,
    stopping: Stopping,
    processes: Processes,
) -> list[dict[str, float]]:
    done = states.newest()
    if done is not None and done.values("finished"):
        return finished(model, done)
    datasets.disable_progress_bars()
    with plain_forward(model), quiet_peft():
        trainer = trainer_class(
            model=model,
            args=arguments,
            train_dataset=datasets.Dataset.from_list(list(rows)),
            processing_class=tokenizer,
        )
        _fix_reference(trainer, events)
        trainer.penalty, trainer.states, trainer.order = penalty, states, order
        width = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * processes.world
        trainer.watch = Watch(
            states, len(order) // width, events, note="learning preferences", stopping=stopping, processes=processes
        )
        return run_to_end(trainer)


@torch.no_grad()
def _fix_reference(trainer: Any, events: Events) -> None:
    """Compute what the adapter says of every row as it is now, and let go of the copy of it that TRL made for the purpose."""
    model, rows = trainer.model, trainer.train_dataset
    device = next(model.parameters()).device
    at_once = trainer.args.per_device_train_batch_size
    found: Mapping[str, list[float]] = {name: [] for name in trainer.reference}
    model.eval()
    for start in range(0, len(rows), at_once):
        events.progress(start, len(rows), "asking for the reference")
        batch = trainer.data_collator([rows[n] for n in range(start, min(start + at_once, len(rows)))])
        values = trainer.compute_ref_log_probs(model, {name: tensor.to(device) for name, tensor in batch.items()})
        for name, value in zip(trainer.reference, values, strict=True):
            found[name].extend(value.float().tolist())
    model.train()
    model.delete_adapter(REFERENCE)
    for name, values in found.items():
        rows = rows.add_column(name, values)
    trainer.train_dataset, trainer.precompute_ref_logps = rows, True


def _pair_arguments(config: FineTuneConfig, states: States, width: int, order: Sequence[int], sft_weight: float) -> DPOConfig:
    return DPOConfig(
        **_arguments(config, states, width, order),
        beta=config.preference_beta,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, sft_weight],
        max_length=None,
    )


def _answer_arguments(
    config: FineTuneConfig, states: States, width: int, order: Sequence[int], weights: tuple[float, float]
) -> KTOConfig:
    return KTOConfig(
        **_arguments(config, states, width, order),
        beta=config.preference_beta,
        desirable_weight=weights[0],
        undesirable_weight=weights[1],
        max_length=None,
        train_sampling_strategy="sequential",
    )


def _arguments(config: FineTuneConfig, states: States, width: int, order: Sequence[int]) -> dict[str, Any]:
    rate = config.preference_learning_rate or SHARE_OF_RATE * config.learning_rate
    return common_arguments(config, states, learning_rate=rate, rows=width, steps=len(order) // width)
