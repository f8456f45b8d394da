"""The phases of one fine-tuning, each of which goes on from what an attempt before this one left in the folder.

| phase | what it leaves |
|---|---|
| general questions are asked of the base | general.json |
| measure what is known before | before.json |
| what must be held (`fisher.py`) | ewc.safetensors, where the parent left none |
| try lambdas, where a budget is given (`budget.py`): both kinds of learning, each time | states/lambda-X/tried.json |
| learn from examples (`sft.py`) | states/lambda-X/ |
| learn from preferences (`preference.py`) | preferences/lambda-X/ |
| measure what is known after | after.json |
| write | the artifact |

What holds the model is in every batch (replayed examples, probes, general answers) and in the penalty; with all of it switched
off this is a plain LoRA. Of several processes all compute the same and the first one writes; decisions follow from what it wrote.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from continuum.errors import ConfigurationError, TrainingDiverged, TrainingInterrupted
from continuum.models.chat_format import EncodedTurn, encode_turns
from continuum.models.local import context_of, load_tokenizer, pad_id
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.revisions import base_revision, require_same_base
from continuum.records import Example
from continuum.training.artifact import provenance, write_artifact
from continuum.training.budget import choose_lambda, lost_share
from continuum.training.ewc import EWCPenalty, Fisher, accumulate, load_fisher, lora_layers, save_fisher
from continuum.training.fisher import estimate_fisher
from continuum.training.forgetting import HeldOut, answers_to, held_out_rows, losses_of, measure_losses, trial_answers
from continuum.training.general import HELD_OUT_PROMPTS, TRAINING_PROMPTS, general_rows
from continuum.training.job import STATES, FitReport, Inputs, Job, LambdaTried
from continuum.training.loading import adapted, base_for_training, sample
from continuum.training.measured import GENERAL, VALIDATION, Measured
from continuum.training.preference import Preferred, tune_preferences
from continuum.training.processes import Processes
from continuum.training.replay import ReplayBuffer
from continuum.training.reporting import Events
from continuum.training.sft import Rows, Trained, train
from continuum.training.states import KEPT, States, replace_file, require_room, room_on_disk
from continuum.training.trainers import copy_of_adapter, set_adapter, trained
from continuum.training.watching import Stopping

MEASURED_ROWS = 256
"""The loss before and after is measured on at most this many training rows."""
TRAINED = "trained"
PREFERENCES = "preferences"


class Run:
    """One fine-tuning in one process.

    Args:
        folder: of the job.
        job: what to train.
        inputs: its rows.
        events: told how far it is.
        stopping: asked between steps.
        processes: those that train together.

    Raises:
        ConfigurationError: the base or the parent cannot be used.
        StoreError: the parent is not what was written, or the disk has no room.
    """

    def __init__(self, folder: Path, job: Job, inputs: Inputs, events: Events, stopping: Stopping, processes: Processes) -> None:
        self.folder, self.job, self.inputs, self.config = folder, job, inputs, job.config
        self.events, self.stopping, self.processes = events, stopping, processes
        self._told(0, 1, "loading the base model")
        self.parent = Path(job.parent) if job.parent else None
        if self.parent is not None:
            verify_artifact(self.parent, job.parent_manifest)
            require_same_base(self.parent, job.base_model)
        _require_same_base(job)
        self.tokenizer = load_tokenizer(job.base_model)
        base = base_for_training(job.base_model, self.config)
        self.model = adapted(base, self.parent, self.config)
        self.layers = lora_layers(self.model)
        self.start = copy_of_adapter(self.model)
        # Rows are cut to what the model reads when it serves, whatever the configuration allows.
        self.longest = min(self.config.max_length, context_of(base) or self.config.max_length)
        self.at_once = max(1, self.config.batch_size // (self.config.gradient_accumulation * self.config.processes))
        self.rows = Rows(self._encoded(inputs.train))
        if processes.first:
            require_room(folder, self.bytes_needed)

    @property
    def bytes_needed(self) -> int:
        """What the run may write in all: states of the adapter with its two moments and the best so far, and the artifact."""
        adapter = sum(weight.numel() * weight.element_size() for weight in trained(self.model).values())
        stages = (3 if self._searches else 1) * (1 + bool(self.inputs.pairs) + bool(self.inputs.answers))
        return adapter * (4 * (KEPT + 1) * stages + 2) + 20_000_000

    def to_end(self) -> FitReport:
        """All phases; see `run_job` for what it raises."""
        general, general_held_out = self._general()
        self.rows = self._all_rows(general)
        held_out = self._held_out(general_held_out)
        before = self._kept("before.json", lambda: self._known(held_out))
        held = self._fisher_to_hold() if self._holds else None
        tried = self._search(held_out, before, held) if held and self._searches else ()
        strength = self._chosen(tried)
        penalty, done, preferred = self._learn(held, strength)
        history = [*done.history, *_continued(preferred.history, len(done.history))]
        after = self._kept("after.json", lambda: self._known(held_out))
        losses = losses_of(held_out, before["losses"], after["losses"])
        measured, validation = losses.pop(TRAINED), losses.get(VALIDATION)
        moved = penalty.displacement() if penalty else None
        report = FitReport(
            initial_loss=statistics.fmean(measured.before),
            final_loss=statistics.fmean(measured.after),
            initial_validation_loss=statistics.fmean(validation.before) if validation else None,
            final_validation_loss=statistics.fmean(validation.after) if validation else None,
            steps=len(history),
            epochs=done.epochs,
            replayed=len(self.rows.replay),
            probes=len(self.rows.probes),
            general=len(self.rows.general),
            preferences=preferred.rows,
            lambda_ewc=strength if penalty else 0.0,
            ewc_penalty=float(moved.penalty.detach()) if moved else 0.0,
            l2_distance=float(moved.l2_distance) if moved else 0.0,
            fisher_trace=held.trace if held else 0.0,
            losses=losses,
            trials=trial_answers(self.inputs.trials, before["answers"], after["answers"]),
            tried=tried,
            history=tuple(history),
            resumed_at=tuple(self._resumed()),
        )
        return report.model_copy(update={"manifest": self._write(report, self._next_fisher(held), general)})

    # --- rows and what is known of them ---------------------------------------------------------------------------

    def _all_rows(self, general: Sequence[Example]) -> Rows:
        inputs, config = self.inputs, self.config
        current = {example.interaction_id for example in inputs.train}
        replayable = [row.example for row in inputs.replay if row.kind == "task" and row.example.interaction_id not in current]
        return Rows(
            new=self.rows.new,
            replay=self._encoded(replayable[: config.replay_buffer_size]),
            probes=self._encoded(inputs.probes),
            general=self._encoded(general),
            validation=self._encoded(inputs.validation),
        )

    def _general(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """General questions with the base's own answers: those that are trained on, and those that only measure."""
        kept = [row.example for row in self.inputs.replay if row.kind == "general"]
        asked = [] if kept or not self.config.general_share else list(TRAINING_PROMPTS)

        def answers() -> dict[str, Any]:
            with self.model.disable_adapter():
                return {"answers": self._answers([*asked, *HELD_OUT_PROMPTS])}

        said = self._kept("general.json", answers)["answers"]
        training = tuple(kept) if self.config.general_share else ()
        return training or general_rows(asked, said[: len(asked)]), general_rows(HELD_OUT_PROMPTS, said[len(asked) :])

    def _held_out(self, general: Sequence[Example]) -> dict[str, HeldOut]:
        chosen = sample(range(len(self.rows.new)), MEASURED_ROWS, self.config.seed)
        examples = [self.inputs.train[n] for n in chosen]
        learned = HeldOut(
            ids=tuple(example.interaction_id for example in examples),
            groups=tuple(example.group for example in examples),
            rows=tuple(self.rows.new[n] for n in chosen),
        )
        return held_out_rows(self.tokenizer, self.inputs, general, self.longest) | {TRAINED: learned}

    def _known(self, held_out: Mapping[str, HeldOut]) -> dict[str, Any]:
        """How surprised the model is by the rows, and what it says to the trials."""
        losses = measure_losses(self.model, self.tokenizer, held_out, batch_size=self.at_once, on_progress=self._told)
        return {"losses": losses, "answers": self._answers([trial.prompt for trial in self.inputs.trials])}

    def _answers(self, prompts: Sequence[str]) -> list[str]:
        return answers_to(self.model, self.tokenizer, prompts, on_progress=self._told)

    def _encoded(self, examples: Sequence[Example]) -> list[EncodedTurn]:
        turns = [(example.messages, example.response) for example in examples]
        return encode_turns(self.tokenizer, turns, self.longest)

    # --- what is held ---------------------------------------------------------------------------------------------

    @property
    def _holds(self) -> bool:
        """Whether there is anything to hold: the first turn of a line holds nothing, its batches keep the constraints."""
        ewc = self.config.forgetting_prevention
        return ewc.enabled and self.parent is not None and (ewc.lambda_ewc > 0 or ewc.budget is not None)

    def _fisher_to_hold(self) -> Fisher | None:
        """The Fisher that the parent left, or where it was trained without one that of what it should go on knowing."""
        assert self.parent is not None  # noqa: S101 - `_holds` says so
        held = load_fisher(self.parent)
        if held is not None:
            return held
        kept = self.folder / "ewc.safetensors"
        if not self.processes.any(kept.is_file()):
            rows = [*self.rows.replay, *self.rows.probes, *self.rows.general]
            if not rows:
                return None
            estimated = self._estimate(rows)
            self.processes.once(lambda: save_fisher(estimated, self.folder))
        return load_fisher(self.folder)

    def _next_fisher(self, held: Fisher | None) -> Fisher | None:
        ewc = self.config.forgetting_prevention
        if not ewc.enabled or not (ewc.lambda_ewc > 0 or ewc.budget is not None):
            return None
        return accumulate(held, self._estimate([*self.rows.new, *self.rows.probes]), ewc.decay)

    def _estimate(self, rows: Sequence[EncodedTurn]) -> Fisher:
        ewc = self.config.forgetting_prevention
        return estimate_fisher(
            self.model,
            self.layers,
            sample(rows, ewc.fisher_samples, self.config.seed),
            pad=pad_id(self.tokenizer),
            seed=self.config.seed,
            labels=ewc.fisher_labels,
            batch_size=self.at_once,
            on_progress=self._told,
        )

    # --- learning -------------------------------------------------------------------------------------------------

    @property
    def _searches(self) -> bool:
        """Whether lambda is searched for: there must be something old to measure what is lost on."""
        return self._holds and self.config.forgetting_prevention.budget is not None and bool(self.inputs.earlier)

    def _search(self, held_out: Mapping[str, HeldOut], before: Mapping[str, Any], held: Fisher) -> tuple[LambdaTried, ...]:
        """Trainings with one lambda after another; the chosen one comes last."""
        budget = self.config.forgetting_prevention.budget
        assert budget is not None  # noqa: S101 - `_searches` says so

        def try_at(strength: float) -> LambdaTried:
            self._learn(held, strength)
            found = self._kept(f"{self._states_at(strength).folder}/tried.json", lambda: self._lost(held_out, before, strength))
            return LambdaTried.model_validate(found)

        choice = choose_lambda(try_at, budget)
        self._told(1, 1, choice.note)
        return (*(one for one in choice.tried if one != choice.chosen), choice.chosen)

    def _lost(self, held_out: Mapping[str, HeldOut], before: Mapping[str, Any], strength: float) -> dict[str, Any]:
        after = measure_losses(self.model, self.tokenizer, held_out, batch_size=self.at_once, on_progress=self._told)
        earlier = [name for name in held_out if name not in (TRAINED, VALIDATION, GENERAL)]
        old, new = ([nats for name in earlier for nats in found[name]] for found in (before["losses"], after))
        loss = statistics.fmean(after.get(VALIDATION) or after[TRAINED])
        return LambdaTried(lambda_ewc=strength, lost=lost_share(old, new), loss=loss).model_dump(mode="json")

    def _chosen(self, tried: Sequence[LambdaTried]) -> float:
        return tried[-1].lambda_ewc if tried else self.config.forgetting_prevention.lambda_ewc

    def _learn(self, held: Fisher | None, strength: float) -> tuple[EWCPenalty | None, Trained, Preferred]:
        """Learn from the examples and then from preferences, from where the parent left off."""
        set_adapter(self.model, self.start)
        kind = self.config.forgetting_prevention.kind
        penalty = EWCPenalty(self.layers, held, strength, kind=kind) if held and strength > 0 else None
        states = self._states_at(strength)
        self._note_resumption(states)
        done = train(
            self.model,
            self.tokenizer,
            self.rows,
            self.config,
            penalty,
            states,
            self.events,
            stopping=self.stopping,
            processes=self.processes,
        )
        return penalty, done, self._learn_preferences(penalty, strength)

    def _states_at(self, strength: float) -> States:
        return States(self.folder / STATES / f"lambda-{strength:g}")

    def _learn_preferences(self, penalty: EWCPenalty | None, strength: float) -> Preferred:
        folder = self.folder / PREFERENCES / f"lambda-{strength:g}"
        for stage in ("pairs", "answers"):
            self._note_resumption(States(folder / stage))
        return tune_preferences(
            self.model,
            self.tokenizer,
            pairs=self.inputs.pairs,
            answers=self.inputs.answers,
            config=self.config,
            limit=self.longest,
            penalty=penalty,
            states=States(folder),
            events=self.events,
            stopping=self.stopping,
            processes=self.processes,
        )

    def _note_resumption(self, states: States) -> None:
        found = states.newest()
        if found is not None and not found.values("finished"):
            noted = [*self._resumed(), found.step]
            self.processes.once(lambda: replace_file(self.folder / "resumed.json", json.dumps(noted).encode()))

    def _resumed(self) -> list[int]:
        return list(_readable(self.folder / "resumed.json") or [])

    # --- the artifact ---------------------------------------------------------------------------------------------

    def _write(self, report: FitReport, fisher: Fisher | None, general: Sequence[Example]) -> dict[str, str]:
        artifact = Path(self.job.artifact)
        weights = copy_of_adapter(self.model)
        if not all(bool(weight.isfinite().all()) for weight in weights.values()):
            raise TrainingDiverged("the last step left weights that are no numbers; lower learning_rate")
        # How long it took, and how often it was interrupted, are not part of the artifact; what was measured row by row is
        # a file of its own.
        outcome = report.model_dump(mode="json", exclude={"manifest", "seconds", "history", "resumed_at", "losses", "trials"})
        training = provenance(self.job) | {"outcome": outcome}
        buffer = self._next_buffer(general)

        def write() -> None:
            with room_on_disk(artifact.parent, self.bytes_needed):
                artifact.parent.mkdir(parents=True, exist_ok=True)
                write_artifact(
                    artifact,
                    self.model,
                    self.tokenizer,
                    weights=weights,
                    fisher=fisher,
                    replay=buffer,
                    training=training,
                    measured=Measured.of(self.job.dataset, report),
                )

        self._told(0, 1, "writing the artifact")
        self.processes.once(write)
        return verify_artifact(artifact)

    def _next_buffer(self, general: Sequence[Example]) -> ReplayBuffer:
        config, inputs = self.config, self.inputs
        seen = ReplayBuffer.load(self.parent).seen if self.parent else {}
        buffer = ReplayBuffer(inputs.replay, seen).extended(
            inputs.train, dataset=self.job.dataset, size=config.replay_buffer_size, seed=config.seed
        )
        return buffer.with_fixed("general", general).with_fixed("probe", inputs.probes)

    # --- what every phase stands on -------------------------------------------------------------------------------

    def _kept(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the work finds, or found when an attempt before this one did it."""
        path = self.folder / name
        if not self.processes.any(_readable(path) is not None):
            found = work()
            self.processes.once(lambda: replace_file(path, json.dumps(found).encode()))
        return json.loads(path.read_text(encoding="utf-8"))

    def _told(self, done: int, total: int, note: str) -> None:
        self.events.progress(done, total, note)
        if self.stopping():
            raise TrainingInterrupted(f"training was asked to stop while {note}; run the same again and it goes on from there")


def _continued(history: Sequence[Mapping[str, float]], steps: int) -> list[dict[str, float]]:
    """Steps that come after `steps` others and have a loss of another kind."""
    return [
        {
            "step": steps + n,
            **{("preference_loss" if name == "loss" else name): value for name, value in row.items() if name != "step"},
        }
        for n, row in enumerate(history, start=1)
    ]


def _readable(path: Path) -> Any:
    """What a file of JSON holds; None where there is none, or where a power cut left half of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _require_same_base(job: Job) -> None:
    found = base_revision(job.base_model) if job.base_revision else ""
    if found and found != job.base_revision:
        raise ConfigurationError(
            f"the base model {job.base_model} is not what it was when the job was written: its revision is {found[:12]} and was "
            f"{job.base_revision[:12]}; restore it, or write the job again"
        )
