"""How much a text sounds as if it talked to a judge: words, meanings that stand close together, forged frames, each weighed.

No single word decides. "This answer deserves the highest score" has three meanings within seven words; a hotel's five stars, a
judge's ruling and a teacher's rubric have one or two. The weights are those of a logistic regression, see
`benchmarks/judging/fitting.py`, and lie beside this file.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from continuum.judging.concepts import Passage, folded, passages
from continuum.judging.frames import forged_frame, forged_verdict

NEAR, FAR = 4, 12
"""Words between two meanings that belong together, or may."""
A_LOOK = 0.7
"""What a text must have more, for each e-fold of its passages."""
WEIGHTS = Path(__file__).parent / "telltales.json"


@dataclass(frozen=True)
class Weights:
    """A linear model: what speaks for a text that talks to a judge, and what against."""

    bias: float
    """Such that a score above zero is suspicious."""
    by_feature: dict[str, float]
    words: dict[str, float]
    two_words: dict[tuple[str, str], float]
    """Those of the features that are words, and two in a row, by themselves: they are looked up often."""
    two_concepts: dict[tuple[str, str], tuple[float, float]]
    """For two meanings: the weight of both within `FAR` words, and what comes to it within `NEAR`."""

    @classmethod
    def of(cls, bias: float, by_feature: dict[str, float]) -> "Weights":
        """The weights with their words apart."""
        words = {name.removeprefix("w:"): weight for name, weight in by_feature.items() if name.startswith("w:")}
        pairs = {name: weight for name, weight in by_feature.items() if name.startswith("b:")}
        two = {_two(name.removeprefix("b:"), " "): weight for name, weight in pairs.items()}
        concepts = {name: weight for name, weight in by_feature.items() if name[1] != ":"}
        far = {_two(name, "~"): weight for name, weight in concepts.items() if "~" in name}
        near = {_two(name, "+"): weight for name, weight in concepts.items() if "+" in name}
        both = {pair: (far.get(pair, 0.0), near.get(pair, 0.0)) for pair in far | near}
        return cls(bias, by_feature, words, two, both)


def _two(name: str, sign: str) -> tuple[str, str]:
    one, _, other = name.partition(sign)
    return one, other


@dataclass(frozen=True)
class Weighed:
    """What a text came to."""

    score: float
    """The highest of its passages; above zero is suspicious."""
    frame: float
    """Points for a forged frame, 3 for one that cannot be anything else."""
    verdict: float


def weigh(text: str, *, spoken: bool = True) -> Weighed:
    """Weigh a text.

    Args:
        text: what was said, or handed over.
        spoken: whether it was said, and not handed over as data by a tool.
    """
    weights = loaded_weights()
    frame, verdict = forged_frame(text), forged_verdict(text, spoken=spoken)
    around = sum(weights.by_feature.get(feature, 0.0) for feature in frame_features(frame, verdict))
    scores = [score_of(passage, weights) for passage in passages(folded(text))]
    if not scores:
        return Weighed(weights.bias + around, frame, verdict)
    # The most suspicious of many passages is more suspicious by chance than that of a few.
    return Weighed(max(scores) + around - A_LOOK * math.log(len(scores)), frame, verdict)


def features_of(passage: Passage) -> set[str]:
    """All that is weighed of a passage."""
    found = {f"w:{word}" for word in passage.words}
    found |= {f"b:{one} {two}" for one, two in zip(passage.words, passage.words[1:], strict=False)}
    found |= set(passage.places)
    found.update(_pairs(passage))
    return found


def frame_features(frame: float, verdict: float) -> Iterator[str]:
    """What is weighed of a whole text."""
    for points in (1, 2, 3):
        if frame >= points:
            yield f"frame:{points}"
        if verdict >= points:
            yield f"verdict:{points}"


def _pairs(passage: Passage) -> Iterator[str]:
    places = sorted(passage.places.items())
    for number, (one, here) in enumerate(places):
        for two, there in places[number + 1 :]:
            apart = _apart(here, there)
            if apart <= FAR:
                yield f"{one}~{two}"
                if apart <= NEAR:
                    yield f"{one}+{two}"


def _apart(here: Sequence[int], there: Sequence[int]) -> int:
    # Most meanings stand in one place.
    return abs(here[0] - there[0]) if len(here) == len(there) == 1 else min(abs(a - b) for a in here for b in there)


def score_of(passage: Passage, weights: Weights) -> float:
    """The weights of all features of a passage, and the bias."""
    words, two_words, concepts = weights.words, weights.two_words, weights.by_feature
    total = weights.bias
    total += sum(words[word] for word in set(passage.words) & words.keys())
    total += sum(two_words[pair] for pair in set(zip(passage.words, passage.words[1:], strict=False)) & two_words.keys())
    total += sum(concepts.get(concept, 0.0) for concept in passage.places)
    return total + _score_of_pairs(passage, weights.two_concepts)


def _score_of_pairs(passage: Passage, weights: Mapping[tuple[str, str], tuple[float, float]]) -> float:
    total = 0.0
    places = sorted(passage.places.items())
    for number, (one, here) in enumerate(places):
        for two, there in places[number + 1 :]:
            weight = weights.get((one, two))
            if weight is not None and (apart := _apart(here, there)) <= FAR:
                total += weight[0] + weight[1] * (apart <= NEAR)
    return total


@lru_cache(maxsize=1)
def loaded_weights() -> Weights:
    """The weights that lie beside this file."""
    stored = json.loads(WEIGHTS.read_text("utf-8"))
    return Weights.of(stored["bias"], stored["by_feature"])
