"""The rows of a training, gathered from the store and from the line of models behind it.

Nothing golden, held out, violating or rejected since it was learned is among what is trained on; what was left out is counted and
named.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.artifacts.copies import local
from continuum.constitution.constraints import Constraint, probe_examples, trials
from continuum.constitution.filtering import Violation, last_request, unfiltered, violating
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import CurationPolicy
from continuum.provenance.earlier import held_out, line_of_datasets
from continuum.records import Checkpoint, Message
from continuum.splits.second_thoughts import rejected
from continuum.training.job import Inputs, ReplayRow, Trial
from continuum.training.replay import ReplayBuffer

if TYPE_CHECKING:
    from continuum.dataset_rows import PreferencePair, RatedAnswer
    from continuum.store.database import Store


@dataclass(frozen=True)
class Prepared:
    """What a training goes through, and what it does not."""

    inputs: Inputs
    violations: tuple[Violation, ...]
    """Training rows that break a constraint; left out, unless the configuration keeps them."""
    unfiltered: tuple[str, ...]
    """Constraints that no row is left out for, because only a judge could tell."""
    unmeasured: tuple[str, ...]
    """Earlier datasets whose files are gone, so that forgetting of them cannot be measured."""
    rejected: tuple[str, ...] = ()
    """Interactions that the line has learned from and whose answer people reject by now; nothing replays or measures them."""

    @property
    def counts(self) -> dict[str, int]:
        """What was gathered, by kind."""
        inputs = self.inputs
        return {
            "train": len(inputs.train),
            "validation": len(inputs.validation),
            "violating": len(self.violations),
            "earlier": len(inputs.earlier),
            "pairs": len(inputs.pairs),
            "answers": len(inputs.answers),
        }


def prepare(
    store: "Store",
    dataset: Dataset,
    config: FineTuneConfig,
    *,
    constraints: Sequence[Constraint] = (),
    parent: Checkpoint | None = None,
    golden: AbstractSet[str] = frozenset(),
) -> Prepared:
    """Gather what a training needs.

    Args:
        store: where the line of models is looked up.
        dataset: what is learned.
        config: what the fine-tuning asks for.
        constraints: what the model must go on doing.
        parent: the checkpoint to continue, verified.
        golden: interactions that nothing may be learned from.

    Raises:
        NotEnoughData: there are no training rows, or none that keeps the constraints.
    """
    train = dataset.split("train")
    if not train:
        raise NotEnoughData(f"the dataset {dataset.name!r} has 0 training rows, at least 1 is needed; curate more examples")
    for example in dataset:
        if not example.messages:
            raise ConfigurationError(
                f"the example {example.interaction_id!r} of {dataset.name!r} answers no message; give it a question, or drop it"
            )
    kept, violations = violating(constraints, train)
    if config.filter_violations:
        train = list(kept)
    if not train:
        raise NotEnoughData(
            f"all {len(violations)} training rows of {dataset.name!r} break a constitutional constraint, such as "
            f"{violations[0].interaction_id!r} ({violations[0].constraint!r}); look at what was captured, or curate again"
        )
    keeps = (lambda messages, answer: _keeps(constraints, messages, answer)) if config.filter_violations else _anything
    buffer = ReplayBuffer.load(local(parent.uri)) if parent is not None and config.replay_buffer_size else ReplayBuffer()
    earlier, unmeasured = _earlier(store, dataset, parent, golden)
    learned = [row.example for row in (*buffer.rows, *earlier) if row.kind == "task"]
    against = rejected(store, dataset.task, learned, _quality(dataset))
    inputs = Inputs(
        train=tuple(train),
        validation=tuple(dataset.split("validation")),
        replay=tuple(
            row
            for row in buffer.without(golden | against).rows
            if row.kind == "general" or keeps(row.example.messages, row.example.response)
        ),
        probes=probe_examples(constraints),
        pairs=tuple(pair for pair in _pairs(dataset, config, constraints, violations) if keeps(pair.messages, pair.chosen)),
        answers=tuple(row for row in _answers(dataset, config) if not row.desirable or keeps(row.messages, row.response)),
        earlier=tuple(row for row in earlier if row.example.interaction_id not in against),
        trials=tuple(Trial(constraint=text, prompt=prompt) for text, prompt in trials(constraints)),
    )
    return Prepared(inputs, tuple(violations), unfiltered(constraints), unmeasured, tuple(sorted(against)))


def _pairs(
    dataset: Dataset, config: FineTuneConfig, constraints: Sequence[Constraint], violations: Sequence[Violation]
) -> "tuple[PreferencePair, ...]":
    """What people preferred, where the method learns from pairs, and compliant answers before violating ones, where asked."""
    pairs = [row for row in dataset.preferences if row.split == "train"] if config.method == "lora+dpo" else []
    if config.constraint_pairs:
        pairs += [pair for constraint in constraints for pair in constraint.pairs()]
        pairs += [violation.pair for violation in violations if violation.pair is not None]
    return tuple(pairs)


def _answers(dataset: Dataset, config: FineTuneConfig) -> "list[RatedAnswer]":
    return [row for row in dataset.rated_answers if row.split == "train"] if config.method == "lora+kto" else []


def _quality(dataset: Dataset) -> float:
    """The score that was asked of its examples."""
    return float(dataset.manifest.get("config", {}).get("min_quality_score", CurationPolicy().min_quality_score))


def _keeps(constraints: Sequence[Constraint], messages: Sequence[Message], answer: Message) -> bool:
    """Whether an answer that is to be learned keeps every constraint, whichever table it comes from."""
    asked = last_request(messages)
    return all(constraint.allows(asked, answer.text) for constraint in constraints)


def _anything(_messages: Sequence[Message], _answer: Message) -> bool:
    return True


def _earlier(
    store: "Store", dataset: Dataset, parent: Checkpoint | None, golden: AbstractSet[str]
) -> tuple[tuple[ReplayRow, ...], tuple[str, ...]]:
    """Validation rows of every dataset that the line behind this training has learned from, oldest first."""
    trained = {example.interaction_id for example in dataset.split("train")} | golden
    before = [fingerprint for fingerprint in reversed(line_of_datasets(store, parent)) if fingerprint != dataset.fingerprint]
    learned, gone = held_out(store, before, trained)
    return tuple(ReplayRow(example=row, dataset=one.fingerprint) for one in learned for row in one.rows), gone
