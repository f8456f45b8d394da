"""Does a language model learn more from what the default strategy picks than from as many picked at random?

A small model is tuned on 300 of some 2,500 rated answers: few things are asked often and most seldom, one answer in five is
wrong, and the scores are noisy. Both ways of picking stand behind the same gate. The exam holds phrases that no pool has; its
questions are the same for both, and so are the base and every seed, so that the differences are paired.
"""

import copy
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.claims import Entry, Result, Setting, rounded, table
from continuum.curation import uncertainty
from continuum.curation.selection import Strategy, Wanted, select
from continuum.demo.base_text import base_texts
from continuum.demo.world import EXAM_PHRASES, EXAM_VARIANTS, TRAFFIC_PHRASES, Intent, World
from continuum.embedding.embedder import open_embedder
from continuum.models.chat_format import EncodedTurn, encode_turns
from continuum.models.local import answer_losses, load_base, load_tokenizer, pad_id, padded
from continuum.policy import CurationPolicy
from continuum.records import Message
from continuum.similarity.normalise import canonical, prompt_tail
from continuum.statistics.paired import t_interval
from continuum.training.base import build_base

GROUP = "shop"
ZIPF = 1.5
ASKED = 4000
"""Drawn for a pool; equal questions count once, which leaves some 2,500."""
WRONG = 0.2
RIGHT_SCORE, WRONG_SCORE = (4.4, 0.7), (2.5, 0.9)
"""Mean and spread of the judge's score."""
SHOWN: tuple[tuple[str, Strategy | None], ...] = (
    ("random", None),
    ("active_learning, the default", "active_learning"),
    ("diversity", "diversity"),
    ("core_set", "core_set"),
)


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    seeds: int
    base_rows: int
    base_steps: int
    picks: int
    steps: int
    batch_size: int = 16
    learning_rate: float = 2e-3
    ways: int = len(SHOWN)
    """Of `SHOWN`, the first so many."""


FULL = Plan(seeds=5, base_rows=4000, base_steps=300, picks=300, steps=200)
QUICK = Plan(seeds=1, base_rows=300, base_steps=15, picks=300, steps=20, ways=2)


@dataclass(frozen=True)
class Asked:
    """A question of the pool with the answer it got."""

    intent: int
    question: Message
    answer: Message
    right: bool
    score: float


@dataclass(frozen=True)
class Scored:
    """What a tuned model is worth on the exam, and what it was tuned on."""

    balanced: float
    """Nats per answer token, mean over the intents."""
    traffic: float
    """The same, each intent by its share of the traffic."""
    exact: float
    """Share of the exam's questions answered word for word."""
    covered: float
    """Share of the intents that a pick asks about."""
    wrong: float
    """Share of the picks with a wrong answer."""


def measure(setting: Setting, plan: Plan | None = None) -> Result:
    """Tune on each way's picks, seed by seed."""
    plan = plan or (QUICK if setting.quick else FULL)
    setting.say("base model")
    world = World()
    rng = random.Random(setting.seed)
    folder = setting.folder / "base"
    built = build_base(
        base_texts(world, rng, plan.base_rows), folder, hidden=96, length=96, steps=plan.base_steps, seed=setting.seed
    )
    exam = Exam(folder, world.of_group(GROUP), world, rng)
    found: dict[str, list[Scored]] = {name: [] for name, _ in SHOWN[: plan.ways]}
    for seed in range(plan.seeds):
        pool, shares = drawn(world, random.Random(f"{setting.seed}-{seed}"))
        good, picks = gated(pool, plan.picks, seed)
        for name, strategy in SHOWN[: plan.ways]:
            setting.say(f"seed {seed + 1} of {plan.seeds}: {name}")
            chosen = [good[n] for n in picks(strategy)]
            model = tuned(exam, chosen, plan, seed)
            found[name].append(exam.scored(model, chosen, shares))
    return told(found, plan, built.parameters)


def told(found: dict[str, list[Scored]], plan: Plan, parameters: int) -> Result:
    """The table and the claim."""
    (random_name, _), (default_name, _) = SHOWN[:2]
    shown = table(
        f"A language model of {parameters / 1e6:.2f} M parameters tuned for {plan.steps} steps on {plan.picks} picks, "
        f"{plan.seeds} paired seeds",
        *("", "intents covered", "wrong answers", "balanced loss", "minus random", "traffic loss", "minus random", "exact"),
    )
    for name, runs in found.items():
        base = found[random_name]
        shown.add_row(
            name,
            f"{mean_of(runs, 'covered'):.2f}",
            f"{mean_of(runs, 'wrong'):.1%}",
            f"{mean_of(runs, 'balanced'):.3f}",
            difference(runs, base, "balanced") if runs is not base else "",
            f"{mean_of(runs, 'traffic'):.3f}",
            difference(runs, base, "traffic") if runs is not base else "",
            f"{mean_of(runs, 'exact'):.3f}",
        )
    apart = differences(found[default_name], found[random_name], "balanced")
    what = f"held-out loss, every intent alike, of {default_name} minus random"
    ours, peer = (mean_of(found[name], "balanced") for name in (default_name, random_name))
    entries = [
        Entry.of_ratio(f"held-out loss, every intent alike, {plan.seeds} paired seeds: default to random", ours, peer, 1.0)
    ]
    notes = ["questions and answers are made up (a shop with 24 topics); loss in nats per answer token, on phrases no pool has"]
    if plan.seeds > 1:
        low, high = t_interval(apart)
        stated = f"{what}, {plan.seeds} paired seeds: {apart.mean():+.3f}, 95 % t interval {low:+.3f} to {high:+.3f}"
        entries.append(Entry(stated, rounded(float(apart.mean())), None, None, "stated", None))
        notes.append(
            f"{what}: {apart.mean():+.3f} (95 % t interval {low:+.3f} to {high:+.3f}), "
            f"lower in {int((apart < 0).sum())} of {plan.seeds} seeds; on traffic loss and exact match nothing is claimed"
        )
    else:
        notes.append(
            f"quick: one seed, {plan.base_steps} and {plan.steps} steps; there is no interval, and nothing is shown by it"
        )
    return Result(entries, shown, notes)


def mean_of(runs: Sequence[Scored], name: str) -> float:
    """The mean of a figure."""
    return statistics.fmean(getattr(run, name) for run in runs)


def differences(runs: Sequence[Scored], base: Sequence[Scored], name: str) -> np.ndarray:
    """A figure minus the base's, seed by seed."""
    return np.array([getattr(run, name) - getattr(other, name) for run, other in zip(runs, base, strict=True)])


def difference(runs: Sequence[Scored], base: Sequence[Scored], name: str) -> str:
    """The mean difference with half the width of its 95 % t interval."""
    values = differences(runs, base, name)
    if len(values) < 2:
        return f"{values.mean():+.3f}"
    low, high = t_interval(values)
    return f"{values.mean():+.3f} ± {(high - low) / 2:.3f}"


# --- pools and picks ----------------------------------------------------------------------------------------------


def drawn(world: World, rng: random.Random) -> tuple[list[Asked], list[float]]:
    """A pool of rated answers, each question once; and each intent's share of what is asked."""
    intents = world.of_group(GROUP)
    order = rng.sample(range(len(intents)), len(intents))
    weights = [0.0] * len(intents)
    for rank, intent in enumerate(order, start=1):
        weights[intent] = rank**-ZIPF
    pool: dict[str, Asked] = {}
    for intent in rng.choices(range(len(intents)), weights, k=ASKED):
        text = world.sentence(intents[intent], rng.choice(TRAFFIC_PHRASES), rng)
        right = rng.random() >= WRONG
        answered = intents[intent] if right else rng.choice([other for other in intents if other is not intents[intent]])
        score = round(min(5.0, max(1.0, rng.gauss(*(RIGHT_SCORE if right else WRONG_SCORE)))), 1)
        asked, answer = Message(role="user", content=text), Message(role="assistant", content=answered.answer)
        pool.setdefault(text, Asked(intent, asked, answer, right, score))
    return list(pool.values()), [weight / sum(weights) for weight in weights]


def gated(pool: Sequence[Asked], picks: int, seed: int) -> tuple[list[Asked], Callable[[Strategy | None], list[int]]]:
    """The rows that pass the gate, and who picks among them: a strategy as the product runs it, or chance where None."""
    policy = CurationPolicy()
    embedder = open_embedder("hashed")
    scores = np.array([asked.score for asked in pool])
    good = np.flatnonzero(scores >= policy.min_quality_score)
    scored = uncertainty.Scored(
        question=embedder.embed([prompt_tail((asked.question,)) for asked in pool]),
        answer=embedder.embed([canonical(asked.answer.action) for asked in pool]),
        scores=scores,
        groups=[str(n) for n in range(len(pool))],
        settled=np.zeros(len(pool), dtype=bool),
    )

    def picked(strategy: Strategy | None) -> list[int]:
        if strategy is None:
            return random.Random(seed).sample(range(len(good)), picks)
        unsure = uncertainty.uncertainty_of(scored, good, policy.min_quality_score, seed)
        wanted = Wanted(strategy, picks, policy.diversity_coefficient)
        return select(scored.question[good], scores[good], unsure.value, wanted)

    return [pool[n] for n in good.tolist()], picked


# --- the model ----------------------------------------------------------------------------------------------------


class Exam:
    """The base model, and questions in phrases that are in no pool."""

    def __init__(self, folder: Path, intents: Sequence[Intent], world: World, rng: random.Random) -> None:
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(folder)
        self.base: PreTrainedModel = load_base(folder)
        self.pad = pad_id(self.tokenizer)
        self.intents = [n for n in range(len(intents)) for _ in EXAM_PHRASES for _ in range(EXAM_VARIANTS)]
        texts = [
            world.sentence(intent, phrase, rng) for intent in intents for phrase in EXAM_PHRASES for _ in range(EXAM_VARIANTS)
        ]
        self.rows = self.encoded(
            [
                ((Message(role="user", content=text),), Message(role="assistant", content=intents[n].answer))
                for text, n in zip(texts, self.intents, strict=True)
            ]
        )

    def encoded(self, turns: Sequence[tuple[Sequence[Message], Message]]) -> list[EncodedTurn]:
        """Turns as the model reads them."""
        return encode_turns(self.tokenizer, turns)

    @torch.no_grad()
    def scored(self, model: torch.nn.Module, chosen: Sequence[Asked], shares: Sequence[float]) -> Scored:
        """What the model is worth."""
        model.eval()
        losses = np.array(answer_losses(model, self.rows, self.pad, batch_size=64))
        of_intent = np.array([losses[np.array(self.intents) == n].mean() for n in range(len(shares))])
        return Scored(
            balanced=float(of_intent.mean()),
            traffic=float(of_intent @ np.array(shares)),
            exact=statistics.fmean(self._said_exactly(model)),
            covered=len({asked.intent for asked in chosen}) / len(shares),
            wrong=statistics.fmean(not asked.right for asked in chosen),
        )

    def _said_exactly(self, model: torch.nn.Module) -> list[bool]:
        """Whether greedy decoding gives the answer: each of its tokens is the likeliest after those before it."""
        exact = []
        for start in range(0, len(self.rows), 64):
            rows = self.rows[start : start + 64]
            ids, mask, labels = padded(rows, self.pad, torch.device("cpu"))
            best = model(input_ids=ids, attention_mask=mask).logits[:, :-1].argmax(-1)
            targets = labels[:, 1:]
            exact += ((best == targets) | (targets < 0)).all(1).tolist()
        return exact


def tuned(exam: Exam, chosen: Sequence[Asked], plan: Plan, seed: int) -> torch.nn.Module:
    """The base, all of its weights tuned on the answers of the picks."""
    torch.manual_seed(seed)
    model = copy.deepcopy(exam.base)
    rows = exam.encoded([((asked.question,), asked.answer) for asked in chosen])
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=plan.learning_rate, total_steps=plan.steps, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    queue: list[int] = []
    order = torch.Generator().manual_seed(seed)
    for _ in range(plan.steps):
        while len(queue) < plan.batch_size:
            queue += torch.randperm(len(rows), generator=order).tolist()
        batch, queue = [rows[n] for n in queue[: plan.batch_size]], queue[plan.batch_size :]
        ids, mask, labels = padded(batch, exam.pad, torch.device("cpu"))
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model
