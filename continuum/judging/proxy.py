"""A judge that has learned a task's taste: what people said of its answers, predicted from what can be counted about them.

It costs nothing and says how sure it is. It sees no meaning beyond its features: it ranks answers to be looked at and takes the
clear ones off a dear judge's hands. It has no word on criteria or safety, and never decides over a deployment alone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from continuum.embedding.embedder import Embedder, HashedEmbedder
from continuum.errors import NotEnoughData
from continuum.judging.judge import Capability, Judgement, version_of
from continuum.judging.proxy_evidence import ProxyEvidence, require_better_than_chance, require_enough
from continuum.judging.proxy_features import FEATURE_VERSION, answer_text, measured, question_text
from continuum.judging.proxy_labels import Labelled, labelled_answers
from continuum.judging.ridge import DESIGN_ARRAYS, RIDGE_ARRAYS, Inputs, Ridge, fit, out_of_fold
from continuum.judging.whole import Together, whole_floor, whole_judgement
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion
from continuum.splits.ratings import GOOD_SCORE
from continuum.statistics.ranking import ranked_auroc, ranked_spearman
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

NOISE_BINS = 10
LABELS_PER_BIN = 25
TOGETHER = 256
"""Answers computed at once."""

Case = tuple[Sequence[Message], Message]


@dataclass(frozen=True)
class Noise:
    """How far people's labels lie from the predictions, by the prediction: its knots, and the variance at each."""

    at: NDArray[np.float64]
    variance: NDArray[np.float64]

    def of(self, predicted: NDArray[np.float64], novelty: NDArray[np.float64]) -> NDArray[np.float64]:
        """The standard deviation of a label around each prediction; what the training data know little of is wider."""
        return np.sqrt(np.interp(predicted, self.at, self.variance) * (1 + novelty))


class ProxyJudge:
    """Predicts what people would say of an answer as a whole; `fit_proxy` makes one.

    Args:
        task: whose people it has learned from.
        embedder: that which it was fitted with.
        ridge: the regression.
        noise: the spread around it.
        evidence: what it was admitted on.
    """

    def __init__(self, task: str, embedder: Embedder, ridge: Ridge, noise: Noise, evidence: ProxyEvidence) -> None:
        self.task = task
        self.name = f"proxy({task})"
        self.embedder = embedder
        self.ridge = ridge
        self.noise = noise
        self.evidence = evidence
        self._digest = digest_of(arrays_of(ridge, noise))
        self._together = Together(self.predict, TOGETHER)

    def __repr__(self) -> str:
        return f"ProxyJudge({self.task!r}, {self.evidence.words()})"

    @property
    def version(self) -> str:
        """Changes with the weights, the features and the embedder."""
        return version_of(FEATURE_VERSION, self.embedder.id, self.ridge.design.kind, self.ridge.penalty, self._digest)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """It says how sure it is; all else it leaves to others."""
        return frozenset({"uncertainty"})

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """The score that people would give, and how far theirs may lie from it; free, and the criteria make no difference."""
        floor = whole_floor(conversation, response, criteria)
        return floor or await self._together.ask((conversation, response))

    def save(self, folder: Path) -> None:
        """Write it into a folder that does not exist yet: safetensors and JSON, complete or not at all.

        Raises:
            MissingExtra: safetensors is not installed.
        """
        from continuum.judging.proxy_file import save_proxy

        save_proxy(self, folder)

    @classmethod
    def load(cls, folder: Path, *, embedder: Embedder | None = None) -> "ProxyJudge":
        """Read what `save` wrote.

        Args:
            folder: where it is.
            embedder: the one it was fitted with, where it is neither the hashed one nor `minilm`.

        Raises:
            StoreError: the files are not as they were written.
            ConfigurationError: it was fitted with another version of the features, or with an embedder that is not there.
            MissingExtra: safetensors is not installed.
        """
        from continuum.judging.proxy_file import load_proxy

        return load_proxy(folder, embedder)

    def predict(self, cases: Sequence[Case]) -> list[Judgement]:
        """What it says of many answers; computed in the caller's thread."""
        if not cases:
            return []
        inputs = inputs_of(cases, self.embedder)
        predicted = np.clip(self.ridge.predict(inputs), 1.0, 5.0)
        spread = self.noise.of(predicted, self.ridge.novelty(inputs))
        return [
            whole_judgement(conversation, response, round(float(score), 4), round(float(std), 4))
            for (conversation, response), score, std in zip(cases, predicted, spread, strict=True)
        ]


def fit_proxy(
    store: "Store",
    task: str,
    *,
    embedder: Embedder | None = None,
    seed: int = 0,
    now: Callable[[], datetime] = utc_now,
) -> ProxyJudge:
    """A proxy of what people volunteered, or said when asked because it teaches most, on a task's answers.

    The audit stream and the anchors, which calibrate judges, and the golden side are never learned from.

    Args:
        store: where the verdicts are.
        task: whose.
        embedder: what texts are compared by; None for the one that needs no model.
        seed: of the folds, the features and the intervals.
        now: the clock.

    Raises:
        ConfigurationError: there is no such task.
        NotEnoughData: there are too few labels, or dialogues left out of the fit are not ranked better than by chance.
    """
    labels, left_out = labelled_answers(store, task)
    return train_proxy(labels, task, embedder=embedder, seed=seed, now=now, left_out=left_out)


def train_proxy(
    labels: Sequence[Labelled],
    task: str,
    *,
    embedder: Embedder | None = None,
    seed: int = 0,
    now: Callable[[], datetime] = utc_now,
    left_out: dict[str, int] | None = None,
) -> ProxyJudge:
    """A proxy of these labels; the arguments are those of `fit_proxy`.

    Raises:
        NotEnoughData: there are too few labels, or dialogues left out of the fit are not ranked better than by chance.
    """
    require_enough(labels, task, left_out or {})
    embedder = embedder or HashedEmbedder()
    inputs = inputs_of([(label.conversation, label.response) for label in labels], embedder)
    scores, groups = np.array([label.score for label in labels]), [label.group for label in labels]
    return learn(inputs, scores, groups, task, embedder=embedder, seed=seed, now=now, left_out=left_out)


def learn(
    inputs: Inputs,
    scores: NDArray[np.float64],
    groups: Sequence[str],
    task: str,
    *,
    embedder: Embedder,
    seed: int = 0,
    now: Callable[[], datetime] = utc_now,
    left_out: dict[str, int] | None = None,
) -> ProxyJudge:
    """A proxy of labels whose inputs are known; the arguments are those of `train_proxy`, a row for each label.

    Raises:
        NotEnoughData: dialogues left out of the fit are not ranked better than by chance.
    """
    predicted, novelty = out_of_fold(inputs, scores, groups, seed=seed)
    if np.ptp(predicted) < 1e-9:
        raise NotEnoughData(f"the {len(scores)} answers of task {task!r} that people scored are all alike; label other answers")
    ridge = fit(inputs, scores, groups, seed=seed).kept()
    good = scores >= GOOD_SCORE
    evidence = ProxyEvidence(
        task=task,
        labels=len(scores),
        good=int(good.sum()),
        groups=len(set(groups)),
        spearman=ranked_spearman(predicted, scores, groups, seed=seed),
        auroc=ranked_auroc(predicted, good, groups, seed=seed) if 0 < good.sum() < len(good) else None,
        error=float(np.abs(np.clip(predicted, 1, 5) - scores).mean()),
        constant_error=float(np.abs(scores.mean() - scores).mean()),
        embedder=embedder.id,
        kind=ridge.design.kind,
        penalty=ridge.penalty,
        seed=seed,
        fitted_at=now(),
        left_out=left_out or {},
    )
    require_better_than_chance(evidence)
    return ProxyJudge(task, embedder, ridge, _noise(np.clip(predicted, 1, 5), novelty, scores), evidence)


def inputs_of(cases: Sequence[Case], embedder: Embedder) -> Inputs:
    """What a proxy knows of answers."""
    texts = [question_text(conversation) for conversation, _ in cases] + [answer_text(response) for _, response in cases]
    embedded = np.asarray(embedder.embed(texts), dtype=np.float64)
    counted = [list(measured(conversation, response).values()) for conversation, response in cases]
    return Inputs(np.array(counted), embedded[: len(cases)], embedded[len(cases) :])


def _noise(predicted: NDArray[np.float64], novelty: NDArray[np.float64], scores: NDArray[np.float64]) -> Noise:
    squares = (scores - predicted) ** 2 / (1 + novelty)
    order = np.argsort(predicted, kind="stable")
    at, variance = [], []
    for rows in np.array_split(order, max(1, min(NOISE_BINS, len(order) // LABELS_PER_BIN))):
        at.append(predicted[rows].mean())
        # Ten labels of the whole stand beside those of a bin, so that no bin of luck is called certain.
        variance.append((squares[rows].sum() + 10 * squares.mean()) / (len(rows) + 10))
    knots, first = np.unique(np.asarray(at, dtype=np.float32).astype(np.float64), return_index=True)
    return Noise(knots, np.asarray(variance, dtype=np.float32).astype(np.float64)[first])


def digest_of(arrays: Mapping[str, NDArray[np.float32]]) -> str:
    """A hash of arrays and their names."""
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.shape} ".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def arrays_of(ridge: Ridge, noise: Noise) -> dict[str, NDArray[np.float32]]:
    """All numbers of a proxy, by name."""
    found = {name: getattr(ridge.design, name) for name in DESIGN_ARRAYS} | {name: getattr(ridge, name) for name in RIDGE_ARRAYS}
    found |= {"embedding_scale": [ridge.design.embedding_scale], "noise_at": noise.at, "noise_variance": noise.variance}
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in found.items()}
