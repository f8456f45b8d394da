"""Whether a judge's scores mean what they say: how far it agrees with people, and what people would say of all it judged.

People's mean is estimated from the random audit stream alone, by prediction-powered inference. What people volunteered, or were
asked because it teaches most, is no random sample: it shows agreement and trains the proxy, and is never averaged as if random.
Until there are enough audit labels a score is called uncalibrated wherever it is shown.

Content that talks to the judge, and answers whose judgement could not be read, have no score: they are left out on both sides,
so that the estimate is of what was judged validly, and they are counted beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from continuum.records import Feedback
from continuum.splits.ratings import GOOD_SCORE, human_rating

if TYPE_CHECKING:
    from continuum.statistics.prediction_powered import PredictionPowered
    from continuum.store.database import Store
    from continuum.store.scores import Scored

LABELS_NEEDED = 30
"""Audit labels below which an interval would promise more than it keeps."""
CONVERSATIONS_NEEDED = 10
"""Conversations that they come from at least; labels of one conversation say much the same."""
AGREEMENT_NEEDED = 10
"""Interactions below which no agreement is worked out."""


@dataclass(frozen=True)
class AskedRating:
    """What people said of an interaction when asked about it."""

    score: float
    probability: float | None
    """With which the interaction was drawn."""


@dataclass(frozen=True)
class HumanAgreement:
    """A judge beside people's explicit feedback, on interactions that both scored; those of the audit stream are not among them.

    A constant predictor, who always says what people say most, has a kappa of 0; its share of equal scores stands beside.
    """

    interactions: int
    kappa: float
    """Cohen's kappa of whole scores."""
    kappa_interval: tuple[float, float]
    weighted_kappa: float
    """With quadratic weights."""
    weighted_kappa_interval: tuple[float, float]
    good_kappa: float
    """Of whether the answer is good, 4 or better."""
    equal: float
    """Share of whole scores that are the same."""
    constant_equal: float
    """The same share for the constant predictor."""
    constant_kappa: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """What is known of a judge's scores of one task by one rubric."""

    task: str
    judge: str
    rubric: str
    status: Literal["calibrated", "uncalibrated"]
    judged: int
    """Interactions with a valid score."""
    judge_mean: float | None
    """The judge's own mean; None where it scored nothing."""
    audit_labels: int
    """Of the judged interactions, those of the audit stream that people have scored."""
    quality: "PredictionPowered | None"
    """What people would say on average; None while uncalibrated."""
    agreement: HumanAgreement | None
    """None where fewer than ten interactions have explicit feedback."""
    left_out: dict[str, int]
    """Status to interactions without a valid score."""
    needed: int = LABELS_NEEDED
    audit_agreement: HumanAgreement | None = None
    """With the labels of the audit stream, which are random as the others are not; None for fewer than ten."""

    def words(self) -> str:
        """One line for a terminal or a report: the number, and how far it can be believed."""
        if self.quality is not None:
            found = self.quality
            return f"{found.mean:.2f} ({found.low:.2f}-{found.high:.2f}, calibrated on {self.audit_labels} audit labels)"
        mean = "no score" if self.judge_mean is None else f"{self.judge_mean:.2f}"
        return f"{mean}, {self.why_not()}"

    def why_not(self) -> str:
        """Why there is no calibrated number; empty where there is one."""
        if self.quality is not None:
            return ""
        if self.audit_labels < self.needed:
            return f"uncalibrated: {self.audit_labels} of {self.needed} audit labels"
        return f"uncalibrated: {self.audit_labels} audit labels, of fewer than {CONVERSATIONS_NEEDED} conversations"

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self) | {"words": self.words()}


def calibrate(
    store: "Store",
    task: str,
    *,
    judge: str,
    rubric: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Calibration:
    """Work out from the store how far a judge's scores of a task can be believed.

    Args:
        store: where annotations, labels and feedback are.
        task: whose.
        judge: the judge's name.
        rubric: the fingerprint of its rubric.
        since: only interactions that began at this time or later.
        until: only those that began before.
    """
    from continuum.store.scores import Scores

    scored = Scores(store.engine).of(task, judge=judge, rubric=rubric, since=since, until=until)
    valid = [one for one in scored if one.status == "ok" and one.overall is not None]
    asked = asked_ratings(store, task, "audit")
    labels = sum(one.interaction_id in asked for one in valid)
    quality = _quality(valid, asked) if labels >= LABELS_NEEDED else None
    return Calibration(
        task=task,
        judge=judge,
        rubric=rubric,
        status="uncalibrated" if quality is None else "calibrated",
        judged=len(valid),
        judge_mean=sum(one.overall or 0.0 for one in valid) / len(valid) if valid else None,
        audit_labels=labels,
        quality=quality,
        agreement=_agreement(_volunteered(store, task), valid),
        audit_agreement=_agreement({one: rating.score for one, rating in asked.items()}, valid),
        left_out=dict(sorted(Counter(one.status for one in scored if one.overall is None).items())),
    )


def asked_ratings(store: "Store", task: str, queue: Literal["audit", "anchor"]) -> dict[str, AskedRating]:
    """What people said when they were asked about a random queue, by interaction id; several people make one score.

    Answers given after the judge's opinion was seen are left out, and so is what else was said of the interactions.
    """
    from continuum.store.draws import Draws

    said: dict[str, list[Feedback]] = defaultdict(list)
    drawn: dict[str, float | None] = {}
    for answer in Draws(store.engine).answers(task, queue):
        said[answer.interaction_id].append(answer.feedback)
        drawn[answer.interaction_id] = answer.probability
    scores = {one: human_rating(feedback).score for one, feedback in said.items()}
    return {one: AskedRating(score, drawn[one]) for one, score in scores.items() if score is not None}


def whole(score: float) -> int:
    """The whole score from 1 to 5 that a score is nearest to; halves go up."""
    return min(5, max(1, int(score + 0.5)))


def _quality(valid: "Sequence[Scored]", asked: Mapping[str, AskedRating]) -> "PredictionPowered | None":
    from continuum.statistics.prediction_powered import ppi_mean

    found = [asked.get(one.interaction_id) for one in valid]
    if len({one.group for one, rating in zip(valid, found, strict=True) if rating is not None}) < CONVERSATIONS_NEEDED:
        return None
    return ppi_mean(
        [one.overall or 0.0 for one in valid],
        [None if rating is None else rating.score for rating in found],
        probabilities=[None if rating is None else rating.probability for rating in found],
        groups=[one.group for one in valid],
    )


def _agreement(people: Mapping[str, float], valid: "Sequence[Scored]") -> HumanAgreement | None:
    both = [one for one in valid if one.interaction_id in people]
    if len(both) < AGREEMENT_NEEDED:
        return None
    from continuum.statistics.agreement import cohen_kappa, two_raters

    said, judged = [people[one.interaction_id] for one in both], [one.overall or 0.0 for one in both]
    groups, whole_said, whole_judged = [one.group for one in both], [whole(s) for s in said], [whole(s) for s in judged]
    plain = two_raters(whole_said, whole_judged, groups=groups)
    weighted = two_raters(whole_said, whole_judged, "quadratic", groups=groups)
    said_good, judged_good = ([float(score >= GOOD_SCORE) for score in scores] for scores in (said, judged))
    return HumanAgreement(
        interactions=len(both),
        kappa=plain.value,
        kappa_interval=(plain.low, plain.high),
        weighted_kappa=weighted.value,
        weighted_kappa_interval=(weighted.low, weighted.high),
        good_kappa=cohen_kappa(said_good, judged_good),
        equal=plain.observed,
        constant_equal=plain.constant,
    )


def _volunteered(store: "Store", task: str) -> dict[str, float]:
    """People's score of each interaction by what they said unasked, or were asked because it teaches."""
    from continuum.store.draws import Draws

    apart, raters = Draws(store.engine).set_apart(task), store.raters.of(task)
    said: dict[str, list[Feedback]] = defaultdict(list)
    for interaction_id, feedback in store.feedback.of_task(task):
        if feedback.id not in apart and feedback.score is not None:
            said[interaction_id].append(feedback)
    ratings = {
        one: human_rating(sorted(given, key=lambda feedback: (feedback.recorded_at, feedback.id)), raters).score
        for one, given in said.items()
    }
    return {one: score for one, score in ratings.items() if score is not None}
