"""What pairs and thumbs add to corrections that are learned as examples, and what they cost other answers.

A model has learned 24 intents, 8 of them with the answer of another intent. People correct these. Every way begins with the same
turn: the corrections as examples, and a part of the other lessons again. Then follows nothing, more of the same, or preferences
in as many passes over the same corrections: the right answer before the one it replaced, or each with a thumb. All is asked in
phrases that no lesson and no correction has. A margin is by how many nats the right answer is likelier than the one it replaced,
each as a whole; an intent is right where the answer is so word for word.
"""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.training.corpus import BASE_STEPS, BASE_TEXTS, FIRST, build_corpus_base, lessons, said_exactly
from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.demo.world import Intent
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import IGNORED, EncodedTurn, encode_turns
from continuum.models.local import answer_losses, load_base, load_tokenizer, pad_id
from continuum.records import Example, Message
from continuum.training.loading import adapted
from continuum.training.preference import SFT_WEIGHT, SHARE_OF_RATE, tune_preferences
from continuum.training.reporting import SilentEvents
from continuum.training.sft import Rows, train
from continuum.training.states import States
from continuum.training.trainers import copy_of_adapter, set_adapter

CORRECTED, KEPT = FIRST[:8], FIRST[8:]
LONGEST, BATCH = 96, 16
CONFIG = FineTuneConfig(
    # What a base of half a million parameters needs; a real one takes the default. Preferences are learned at a tenth of it.
    learning_rate=1e-2,
    batch_size=BATCH,
    max_length=LONGEST,
    checkpoint_every=1000,
    general_share=0,
)
EXAMPLES, LONGER, PAIRS, BARE, THUMBS = (
    "examples",
    "examples, and as long again",
    "examples, then pairs (DPO)",
    "examples, then pairs, DPO's loss alone",
    "examples, then thumbs (KTO)",
)
WAYS = (EXAMPLES, LONGER, PAIRS, BARE, THUMBS)


@dataclass(frozen=True)
class Size:
    """How much of it."""

    seeds: int
    base_steps: int
    first_steps: int
    turn_steps: int
    """Of the corrections as examples."""
    preference_epochs: int
    each: int = 20
    """Lessons on an intent."""
    said: int = 5
    """Corrections of an intent."""
    asked: int = 6
    """Exam questions on an intent."""
    texts: int = BASE_TEXTS
    """That the base has read."""


FULL = Size(seeds=3, base_steps=BASE_STEPS, first_steps=150, turn_steps=20, preference_epochs=6)
QUICK = Size(seeds=1, base_steps=4, first_steps=3, turn_steps=2, preference_epochs=2, each=2, said=1, asked=1, texts=300)


@dataclass(frozen=True)
class Outcome:
    """What one way leads to, on held-out questions."""

    margin: float
    """Nats, of the whole answer."""
    won: float
    """Share of questions where the right answer is likelier, 0 to 1."""
    right: float
    """Nats per token of the right answer to corrected intents."""
    exact: float
    """Share of corrected intents answered word for word."""
    others: float
    """Nats per token on the intents that nobody corrected."""
    others_exact: float


def measure(setting: Setting) -> Result:
    """Every way, seed by seed."""
    size = QUICK if setting.quick else FULL
    torch.set_num_threads(1)
    setting.say("base model")
    base = build_corpus_base(setting.folder / "base", seed=setting.seed, texts=size.texts, steps=size.base_steps)
    found: dict[str, list[Outcome]] = {name: [] for name in WAYS}
    for seed in range(setting.seed, setting.seed + size.seeds):
        line = Line(base, setting.folder / f"seed-{seed}", size, seed)
        for name in WAYS:
            setting.say(f"seed {seed}: {name}")
            found[name].append(line.outcome(name))
    return _told(found, size, setting.quick)


class Line:
    """The model of one seed that has learned 8 answers wrongly and then their corrections as examples."""

    def __init__(self, base: Path, folder: Path, size: Size, seed: int) -> None:
        self.folder, self.size = folder, size
        self.config = CONFIG.model_copy(update={"seed": seed, "preference_epochs": size.preference_epochs})
        self.tokenizer = load_tokenizer(base)
        self.model = adapted(load_base(base), None, self.config)
        rng = random.Random(seed)
        others = lessons(KEPT, rng, size.each)
        wrong = _wrongly(lessons(CORRECTED, rng, size.each))
        self.corrections = lessons(CORRECTED, rng, size.said)
        self.exam, self.other_exam = (lessons(intents, rng, size.asked, exam=True) for intents in (CORRECTED, KEPT))
        self._learn("first", Rows(self._encoded([*others, *wrong])), size.first_steps)
        # The part of a batch that is replayed: other lessons, none of those that were corrected.
        self.rows = Rows(self._encoded(self.corrections), replay=self._encoded(others))
        self._learn("examples", self.rows, size.turn_steps)
        self.start = copy_of_adapter(self.model)

    def outcome(self, name: str) -> Outcome:
        """Learn in one way, from where the examples left the model."""
        set_adapter(self.model, self.start)
        if name == LONGER:
            steps = -(-len(self.corrections) * self.size.preference_epochs // BATCH)
            self._learn("again", self.rows, steps, self.config.learning_rate * SHARE_OF_RATE)
        elif name != EXAMPLES:
            self._prefer(name)
        return _outcome(self.model, self.tokenizer, self.exam, self.other_exam)

    def _prefer(self, name: str) -> None:
        tune_preferences(
            self.model,
            self.tokenizer,
            pairs=[] if name == THUMBS else [_pair(example) for example in self.corrections],
            answers=[row for example in self.corrections for row in _thumbs(example)] if name == THUMBS else [],
            config=self.config,
            limit=LONGEST,
            penalty=None,
            states=States(self.folder / name),
            events=SilentEvents(),
            sft_weight=0.0 if name == BARE else SFT_WEIGHT,
        )

    def _learn(self, name: str, rows: Rows, steps: int, learning_rate: float | None = None) -> None:
        fresh = rows.laid_out(self.config).new_per_batch
        config = self.config.model_copy(
            update={"epochs": steps * fresh / len(rows.new), "learning_rate": learning_rate or self.config.learning_rate}
        )
        train(self.model, self.tokenizer, rows, config, None, States(self.folder / name), SilentEvents())

    def _encoded(self, examples: Sequence[Example]) -> list[EncodedTurn]:
        return encode_turns(self.tokenizer, [(example.messages, example.response) for example in examples], LONGEST)


def _outcome(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, exam: Sequence[Example], other_exam: Sequence[Example]
) -> Outcome:
    right, wrong, others = (
        encode_turns(tokenizer, [(example.messages, example.response) for example in rows], LONGEST)
        for rows in (exam, _wrongly(exam), other_exam)
    )
    pad = pad_id(tokenizer)
    nats, wrong_nats = (answer_losses(model.eval(), rows, pad, batch_size=64) for rows in (right, wrong))
    margins = [
        bad * _tokens(wrong_row) - good * _tokens(row)
        for good, bad, row, wrong_row in zip(nats, wrong_nats, right, wrong, strict=True)
    ]
    return Outcome(
        margin=statistics.fmean(margins),
        won=statistics.fmean(margin > 0 for margin in margins),
        right=statistics.fmean(nats),
        exact=statistics.fmean(said_exactly(model, right, pad)),
        others=statistics.fmean(answer_losses(model, others, pad, batch_size=64)),
        others_exact=statistics.fmean(said_exactly(model, others, pad)),
    )


def _told(found: dict[str, list[Outcome]], size: Size, quick: bool) -> Result:
    shown = table(
        f"{len(CORRECTED)} of {len(FIRST)} intents corrected, {size.said} corrections each; {size.turn_steps} steps of examples, "
        f"then {size.preference_epochs} times through the corrections; mean of {size.seeds} seeds",
        *("", "margin", "won", "right loss", "right exact", "others loss", "others exact"),
    )
    mean = {name: _mean(outcomes) for name, outcomes in found.items()}
    for name, one in mean.items():
        numbers = (f"{one.margin:.2f}", f"{one.won:.0%}", f"{one.right:.3f}", f"{one.exact:.0%}", f"{one.others:.3f}")
        shown.add_row(name, *numbers, f"{one.others_exact:.0%}")
    goal = "stated: so small a run shows nothing" if quick else "stated"
    entries = [
        Entry(f"{what}, {size.seeds} seeds: {name} to {peer}", _short(ours), _short(theirs), _ratio(ours, theirs), goal, None)
        for name, peer in ((PAIRS, LONGER), (THUMBS, LONGER), (PAIRS, BARE))
        for what, ours, theirs in (
            ("nats by which a corrected answer is ahead", mean[name].margin, mean[peer].margin),
            ("loss of the corrected answer", mean[name].right, mean[peer].right),
            ("loss of answers nobody corrected", mean[name].others, mean[peer].others),
        )
    ]
    notes = [
        "questions and answers are made up; losses in nats per answer token on held-out questions; margins in nats per answer"
    ]
    return Result(entries, shown, notes)


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(*(statistics.fmean(values) for values in zip(*(vars(one).values() for one in outcomes), strict=True)))


def _ratio(ours: float, theirs: float) -> float | None:
    # A margin may be below nothing, and then no ratio says anything.
    return _short(ours / theirs) if min(ours, theirs) > 0 else None


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _tokens(row: EncodedTurn) -> int:
    return sum(label != IGNORED for label in row.labels)


def _wrong_answer(example: Example) -> str:
    topics: list[Intent] = list(CORRECTED)
    place = next(n for n, intent in enumerate(topics) if intent.topic == example.intent)
    return topics[(place + 1) % len(topics)].answer


def _wrongly(examples: Sequence[Example]) -> list[Example]:
    """The same questions with the answer of the intent that comes next."""
    return [example.model_copy(update={"response": _said(_wrong_answer(example))}) for example in examples]


def _pair(example: Example) -> PreferencePair:
    return PreferencePair(
        interaction_id=example.interaction_id,
        rejected_id=example.interaction_id,
        messages=example.messages,
        chosen=example.response,
        rejected=_said(_wrong_answer(example)),
        source="correction",
        group=example.group,
    )


def _thumbs(example: Example) -> list[RatedAnswer]:
    return [
        RatedAnswer(
            interaction_id=example.interaction_id,
            messages=example.messages,
            response=answer,
            desirable=good,
            source="correction",
            group=example.group,
        )
        for answer, good in ((example.response, True), (_said(_wrong_answer(example)), False))
    ]


def _said(text: str) -> Message:
    return Message(role="assistant", content=text)
