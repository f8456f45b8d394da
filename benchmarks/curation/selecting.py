"""What is learned from a selection against a random draw of the same size from the same rows.

What selection never sees, decides: the intents of a bank's queries, and what an assistant did next (which tool it called with
which arguments, or that it spoke). A judge's scores are made up: they go with a hidden true quality by a correlation of about
.6, and the judge is biased by intent. A ridge classifier learns the hidden labels of the chosen rows from their frozen vectors
and is asked about rows of the test side; macro-accuracy counts each label alike.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.curation.queries import bank_queries, log_rows, logs_are_real
from benchmarks.curation.rivals import raw_sum, score_first
from continuum.curation.selection import Strategy, Wanted, ranks, select
from continuum.curation.uncertainty import Scored, uncertainty_of
from continuum.embedding.embedder import Embedder, HashedEmbedder, open_embedder
from continuum.errors import ContinuumError
from continuum.records import Message
from continuum.similarity.normalise import prompt_tail

SIZES, SIZES_QUICK = (150, 400), (50, 120)
POOL, POOL_QUICK = 4000, 800
SEEDS, SEEDS_QUICK = 10, 2
ZIPF = 1.2
GATE = 3.5
"""The product's own threshold of quality."""
DIVERSITY = 0.3
TEST_SHARE = 0.3
"""Of the log's dialogues."""
PENALTY = 1.0
RESAMPLED = 10_000
GOAL_POINTS = 7.0
NOT_BELOW = None
"""Goal of a pool on which a selection need not be better than a random draw, and may not be shown to be worse."""
MADE_UP = "queries are made up or the run is quick: shown, not judged"

Chooser = Callable[["Pool", int], list[int]]


@dataclass(frozen=True)
class Corpus:
    """Texts as vectors, and the labels that selection never sees."""

    name: str
    vectors: np.ndarray
    labels: np.ndarray
    test_vectors: np.ndarray
    test_labels: np.ndarray
    groups: Sequence[str]
    skew: float | None
    """Exponent by which labels are made unequally frequent; None leaves them as they are."""


@dataclass(frozen=True)
class Pool:
    """The eligible rows of one seed."""

    vectors: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    true_quality: np.ndarray
    """Ranks from 0 to 1."""
    uncertainty: np.ndarray
    agreement: float
    """Correlation of the judge's scores with the true quality."""
    rng: np.random.Generator


@dataclass(frozen=True)
class Outcome:
    """What one selection was worth; shares are 0 to 1."""

    coverage: float
    accuracy: float
    true_quality: float


def measure(setting: Setting) -> Result:
    """Our strategies, random, and rivals, over the same seeds."""
    embedder = _embedder(setting)
    sizes, seeds = (SIZES_QUICK, SEEDS_QUICK) if setting.quick else (SIZES, SEEDS)
    pool_rows = POOL_QUICK if setting.quick else POOL
    shown = table(
        f"Choosing against a random draw: {seeds} paired seeds, 95% bootstrap intervals, points",
        "pool, picks, strategy", "coverage", "macro-acc.", "coverage against", "macro-acc. against", "quality",
    )  # fmt: skip
    for column in shown.columns:
        column.no_wrap = True
    result = Result([], shown)
    bank, bank_is_real = _bank(setting, embedder)
    log, log_is_real = _log(setting, embedder)
    queries = f"{'banking77' if bank_is_real else 'made-up queries'}, Zipf({ZIPF}) pool of {pool_rows:,}"
    turns = f"user turns of {'' if log_is_real else 'made-up '}movie_tickets"
    for short, name, corpora, gate, goal, real in (
        ("queries", queries, lambda _: bank, None, GOAL_POINTS, bank_is_real),
        (f"queries from {GATE}", f"{queries}, those of {GATE} and better", lambda _: bank, GATE, 0.0, bank_is_real),
        ("user turns", turns, log, None, NOT_BELOW, log_is_real),
    ):
        agreements: list[float] = []
        outcomes: dict[tuple[int, str], list[Outcome]] = {}
        for seed in range(seeds):
            setting.say(f"selecting: {name}, seed {seed + 1} of {seeds}")
            corpus = corpora(setting.seed + seed)
            pool = draw_pool(corpus, pool_rows, gate, setting.seed + seed)
            agreements.append(pool.agreement)
            for size in sizes:
                for strategy, choose in STRATEGIES.items():
                    outcomes.setdefault((size, strategy), []).append(outcome(pool, choose(pool, size), corpus))
        for size in sizes:
            _rows(result, outcomes, size, short, setting.seed)
            result.entries += _entries(outcomes, size, name, goal, setting.seed, judged=real and not setting.quick)
        result.notes.append(f"{short}: {name}; the judge's scores go with true quality by r = {np.mean(agreements):.2f}")
    result.notes.append(f"vectors: {embedder.id}; labels that selection never saw: intents, and what the assistant did next")
    if not (bank_is_real and log_is_real) or setting.quick:
        result.notes.append(MADE_UP)
    return result


# --- what is chosen from ------------------------------------------------------------------------------------------


def draw_pool(corpus: Corpus, rows: int, gate: float | None, seed: int) -> Pool:
    """Rows of unequally frequent labels with a biased judge's scores, and the product's own uncertainty of them.

    Args:
        corpus: what to draw from.
        rows: how many to draw at most, before the gate.
        gate: score from which rows are eligible; None for all of them.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    kinds = int(max(corpus.labels.max(), corpus.test_labels.max())) + 1
    weight = rng.permutation((np.arange(kinds) + 1.0) ** -corpus.skew) if corpus.skew else np.ones(kinds)
    # The smallest of exponential clocks: drawing without replacement in proportion to the weights.
    drawn = np.sort(np.argsort(rng.exponential(size=len(corpus.labels)) / weight[corpus.labels])[:rows])
    true = rng.normal(size=len(drawn))
    bias = rng.normal(size=kinds)[corpus.labels[drawn]]
    scores = np.clip(4 + 0.9 * (0.6 * true + 0.48 * bias + 0.64 * rng.normal(size=len(drawn))), 1, 5)
    eligible = np.arange(len(drawn)) if gate is None else np.flatnonzero(scores >= gate)
    scored = Scored(
        question=corpus.vectors[drawn],
        # What was answered would give away what selection must not see.
        answer=np.zeros((len(drawn), 0), dtype=np.float32),
        scores=scores,
        groups=np.array(corpus.groups)[drawn].tolist(),
        settled=np.zeros(len(drawn), dtype=bool),
    )
    uncertainty = uncertainty_of(scored, eligible, GATE).value
    kept = drawn[eligible]
    agreement = float(np.corrcoef(scores, true)[0, 1])
    return Pool(
        corpus.vectors[kept], corpus.labels[kept], scores[eligible], ranks(true[eligible]), uncertainty, agreement, rng
    )  # fmt: skip


def ours(strategy: Strategy) -> Chooser:
    """A strategy of the product, at its default coefficient."""
    return lambda pool, size: select(pool.vectors, pool.scores, pool.uncertainty, Wanted(strategy, size, DIVERSITY))


STRATEGIES: dict[str, Chooser] = {
    "random": lambda pool, size: pool.rng.choice(len(pool.scores), size, replace=False).tolist(),
    "default (active_learning)": ours("active_learning"),
    "diversity": ours("diversity"),
    "core_set": ours("core_set"),
    "uncertainty": ours("uncertainty"),
    "DEITA-style, skip .9": lambda pool, size: score_first(pool.vectors, pool.scores, size, 0.9),
    "DEITA-style, skip .7": lambda pool, size: score_first(pool.vectors, pool.scores, size, 0.7),
    "raw sum .3": lambda pool, size: raw_sum(pool.vectors, ranks(pool.scores), size, DIVERSITY),
}
OURS = "default (active_learning)"


def outcome(pool: Pool, chosen: Sequence[int], corpus: Corpus) -> Outcome:
    """Labels covered of those in the pool, and the macro-accuracy of a ridge classifier taught by the chosen rows."""
    labels = pool.labels[list(chosen)]
    kinds = np.unique(pool.labels)
    taught = pool.vectors[list(chosen)].astype(np.float64)
    mean = taught.mean(axis=0)
    known, targets = np.unique(labels, return_inverse=True)
    wanted = np.eye(len(known))[targets]
    centred = taught - mean
    dual = np.linalg.solve(centred @ centred.T + PENALTY * np.eye(len(centred)), wanted - wanted.mean(axis=0))
    said = known[((corpus.test_vectors - mean) @ (centred.T @ dual) + wanted.mean(axis=0)).argmax(axis=1)]
    right = [float((said[corpus.test_labels == kind] == kind).mean()) for kind in kinds if (corpus.test_labels == kind).any()]
    return Outcome(len(known) / len(kinds), float(np.mean(right)), float(pool.true_quality[list(chosen)].mean()))


# --- where it comes from ------------------------------------------------------------------------------------------


def _embedder(setting: Setting) -> Embedder:
    if setting.quick:
        return HashedEmbedder()
    try:
        return open_embedder("minilm")
    except (ContinuumError, ImportError):
        return HashedEmbedder()


def _bank(setting: Setting, embedder: Embedder) -> tuple[Corpus, bool]:
    queries = bank_queries(setting)
    step = 5 if setting.quick else 1
    setting.say(f"selecting: embedding {len(queries.texts) // step:,} queries")
    kinds, labels = np.unique([*queries.intents, *queries.test_intents], return_inverse=True)
    train, test = labels[: len(queries.texts)][::step], labels[len(queries.texts) :][::step]
    corpus = Corpus(
        name=f"{len(kinds)} intents",
        vectors=embedder.embed(queries.texts[::step]),
        labels=train,
        test_vectors=embedder.embed(queries.test_texts[::step]),
        test_labels=test,
        groups=[str(row) for row in range(len(train))],
        skew=ZIPF,
    )
    return corpus, not queries.made_up


def _log(setting: Setting, embedder: Embedder) -> tuple[Callable[[int], Corpus], bool]:
    """The log's rows that answer a user, split anew for each seed: dialogues with one opening are on one side."""
    rows = [row for row in log_rows(setting, "movie_tickets") if row["messages"][-1]["role"] == "user"]
    setting.say(f"selecting: embedding {len(rows):,} user turns")
    conversations = [[Message.model_validate(message) for message in row["messages"]] for row in rows]
    vectors = embedder.embed([prompt_tail(messages) for messages in conversations])
    _, labels = np.unique([next_action(row["response"]) for row in rows], return_inverse=True)
    openings = [next(message.text for message in messages if message.role == "user") for messages in conversations]
    names = sorted(set(openings))

    def split(seed: int) -> Corpus:
        rng = np.random.default_rng(seed)
        held = set(rng.permutation(names)[: int(TEST_SHARE * len(names))].tolist())
        test = np.array([opening in held for opening in openings])
        groups = [opening for opening in openings if opening not in held]
        return Corpus("next actions", vectors[~test], labels[~test], vectors[test], labels[test], groups, skew=None)

    return split, logs_are_real(setting, "movie_tickets")


def next_action(response: dict[str, Any]) -> str:
    """The tool that was called with the names of its arguments, or that the assistant spoke."""
    calls = response.get("tool_calls")
    if not calls:
        return "speaks"
    function = calls[0]["function"]
    return f"{function['name']}({', '.join(sorted(json.loads(function['arguments'])))})"


# --- what is said -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A paired difference to random in points, with its interval over seeds."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def difference(ours: Sequence[float], random: Sequence[float], seed: int) -> Difference:
    """Mean of the differences with the percentile bootstrap over seeds (Efron 1979)."""
    points = 100 * (np.array(ours) - np.array(random))
    drawn = np.random.default_rng(seed).integers(0, len(points), (RESAMPLED, len(points)))
    low, high = np.percentile(points[drawn].mean(axis=1), [2.5, 97.5])
    return Difference(float(points.mean()), float(low), float(high))


def _measures(found: Sequence[Outcome]) -> Iterator[tuple[str, list[float]]]:
    yield "coverage", [one.coverage for one in found]
    yield "macro-accuracy", [one.accuracy for one in found]


def _rows(result: Result, outcomes: dict[tuple[int, str], list[Outcome]], size: int, name: str, seed: int) -> None:
    random = outcomes[size, "random"]
    result.table.add_section()
    result.table.add_row(f"[bold]{name}, {size} picks")
    for strategy in STRATEGIES:
        found = outcomes[size, strategy]
        pairs = zip(_measures(found), _measures(random), strict=True)
        against = ["" if strategy == "random" else str(difference(own, other, seed)) for (_, own), (_, other) in pairs]
        means = [f"{np.mean(values):.3f}" for _, values in _measures(found)]
        result.table.add_row(f"  {strategy}", *means, *against, f"{np.mean([one.true_quality for one in found]):.2f}")


def _entries(
    outcomes: dict[tuple[int, str], list[Outcome]], size: int, name: str, points: float | None, seed: int, *, judged: bool
) -> Iterator[Entry]:
    for (measured, own), (_, random) in zip(_measures(outcomes[size, OURS]), _measures(outcomes[size, "random"]), strict=True):
        against = difference(own, random, seed)
        least = points if points and measured == "macro-accuracy" else 0.0
        if points is NOT_BELOW:
            holds, goal = against.high >= 0, "not below random: 95% interval reaches 0"
        else:
            holds = against.mean >= least and against.low > 0
            goal = f"at least {least:g} points above random, 95% interval above 0"
        ours_mean, random_mean = float(np.mean(own)), float(np.mean(random))
        yield Entry(
            claim=f"default strategy against random, {name}, {size} picks: {measured} ({against} points)",
            ours=rounded(ours_mean),
            peer=rounded(random_mean),
            ratio=rounded(ours_mean / random_mean) if random_mean else None,
            goal=goal,
            holds=holds if judged else None,
        )
