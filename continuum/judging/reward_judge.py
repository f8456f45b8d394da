"""A reward model of this process as the judge: one number an answer, read on the scale of people's scores.

What a reward means is known only from labels. A map from rewards to scores that never falls is fitted to people's verdicts
where there are enough of them; where there are not, a fixed curve takes its place and the judge's name says so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from continuum.errors import MissingExtra
from continuum.judging.judge import Capability, Judgement, version_of
from continuum.judging.local_judge import digest_of
from continuum.judging.proxy_labels import Labelled, labelled_answers
from continuum.judging.whole import Together, whole_floor, whole_judgement
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.judging.local_engine import RewardScorer
    from continuum.statistics.ranking import Ranking
    from continuum.store.database import Store

LABELS_NEEDED = 50
LEAST_STD = 0.1

Case = tuple[Sequence[Message], Message]


@dataclass(frozen=True)
class RewardMap:
    """A map from rewards to scores that never falls, fitted to people's verdicts (isotonic regression)."""

    rewards: tuple[float, ...]
    """Its knots, ascending; between them it is straight, beyond them level."""
    scores: tuple[float, ...]
    std: float
    """Standard deviation of people's scores around it."""
    labels: int
    spearman: "Ranking"
    """Of rewards and people's scores; the rewards have never seen a label, so it needs no held-out part."""

    def words(self) -> str:
        """The figures in a line."""
        low, high = self.spearman.low, self.spearman.high
        interval = "" if low is None or high is None else f" (95% {low:.2f} to {high:.2f})"
        return f"fitted to {self.labels} labels; Spearman of reward and label {self.spearman.value:.2f}{interval}"


class RewardJudge:
    """A Hugging Face sequence classifier with one output as the judge of the whole; it has no word on criteria or safety.

    Args:
        folder: the model with its tokenizer: safetensors and a chat template.
        name: what the judge is called; None for the folder's name.
        fitted: the map from rewards to scores, from `fit_map` or `for_task`; None for 1 + 4 / (1 + exp(-reward)), and then the
            judge's name says that the map is uncalibrated.
        batch_size: answers judged at once.

    Raises:
        MissingExtra: torch and transformers are not installed; when it first judges.
        ConfigurationError: there is no such model, or it has several outputs; when it first judges.
    """

    def __init__(
        self, folder: Path | str, *, name: str | None = None, fitted: RewardMap | None = None, batch_size: int = 8
    ) -> None:
        self.folder = Path(folder)
        self.fitted = fitted
        self.name = (name or self.folder.name) + ("" if fitted else " (uncalibrated map)")
        self._together = Together(self.judge_all, batch_size)

    @classmethod
    def for_task(cls, folder: Path | str, store: "Store", task: str, *, name: str | None = None, seed: int = 0) -> Self:
        """The judge with a map fitted to a task's explicit verdicts, if there are enough of them.

        The audit stream, the anchors and the golden side are left out, as they are for a proxy.

        Raises:
            ConfigurationError: there is no such task, or no such model.
            MissingExtra: torch and transformers are not installed.
        """
        plain = cls(folder, name=name)
        labels, _ = labelled_answers(store, task)
        fitted = plain.fit_map(labels, seed=seed)
        return cls(folder, name=name, fitted=fitted) if fitted else plain

    @property
    def evidence(self) -> str:
        """What its scale rests on."""
        return self.fitted.words() if self.fitted else f"uncalibrated map: fewer than {LABELS_NEEDED} labels were at hand"

    @property
    def version(self) -> str:
        """Changes with the weights, the tokenizer and the map; read from all of the model's files, once."""
        knots = (self.fitted.rewards, self.fitted.scores, self.fitted.std) if self.fitted else None
        return version_of("reward", self._digest, knots)

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.folder)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """It says how sure it is where its map is fitted; all else it leaves to others."""
        return frozenset({"uncertainty"}) if self.fitted else frozenset()

    async def __aenter__(self) -> Self:
        # The version is a hash of all weights, and is asked for on the event loop.
        await asyncio.to_thread(lambda: (self._scorer, self.version))
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """The score of the whole answer; free, and the criteria make no difference."""
        floor = whole_floor(conversation, response, criteria)
        return floor or await self._together.ask((conversation, response))

    def judge_all(self, cases: Sequence[Case]) -> list[Judgement]:
        """What it says of many answers; computed in the caller's thread."""
        rewards = np.array(self._scorer.rewards(cases))
        if self.fitted is None:
            scores, std = 1 + 4 / (1 + np.exp(-np.clip(rewards, -50, 50))), None
        else:
            scores, std = np.interp(rewards, self.fitted.rewards, self.fitted.scores), self.fitted.std
        return [
            whole_judgement(conversation, response, round(float(score), 4), std)
            for (conversation, response), score in zip(cases, scores, strict=True)
        ]

    def fit_map(self, labels: Sequence[Labelled], *, seed: int = 0) -> RewardMap | None:
        """The map that these labels make; None where they are fewer than 50, or all the same.

        Args:
            labels: people's scores.
            seed: of the interval.
        """
        from continuum.statistics.ranking import ranked_spearman

        scores = np.array([label.score for label in labels])
        if len(labels) < LABELS_NEEDED or np.ptp(scores) == 0:
            return None
        rewards = np.array(self._scorer.rewards([(label.conversation, label.response) for label in labels]))
        if np.ptp(rewards) == 0:
            return None
        knots, values = isotonic(rewards, scores)
        std = float(np.sqrt(np.mean((scores - np.interp(rewards, knots, values)) ** 2)))
        return RewardMap(
            rewards=tuple(knots.tolist()),
            scores=tuple(values.tolist()),
            std=max(LEAST_STD, round(std, 4)),
            labels=len(labels),
            spearman=ranked_spearman(rewards, scores, [label.group for label in labels], seed=seed),
        )

    @cached_property
    def _scorer(self) -> "RewardScorer":
        try:
            from continuum.judging.local_engine import RewardScorer  # torch and transformers start here
        except ImportError as error:
            raise MissingExtra.of(error, "A judge in this process") from error
        return RewardScorer(self.folder)


def isotonic(rewards: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The knots of the map that never falls and is nearest to the scores: the first and the last reward of each level."""
    from scipy.optimize import isotonic_regression

    distinct, at = np.unique(rewards, return_inverse=True)
    counts = np.bincount(at)
    means = np.bincount(at, weights=scores) / counts
    levels = np.asarray(isotonic_regression(means, weights=counts).x)
    changes = np.diff(levels) > 0
    kept = np.r_[True, changes] | np.r_[changes, True]
    return distinct[kept], levels[kept]
