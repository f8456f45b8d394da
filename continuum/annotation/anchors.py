"""The frozen anchors, judged again: a judge that scores the same answers otherwise than before is not the judge it was.

A provider may change what stands behind a model's name at any time, and a new prompt or rubric is a new opinion. The anchors
are judged each week and with each such change, without a cache, and compared with the first time.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.errors import ConfigurationError, JudgeError, NotEnoughData
from continuum.judging.asking import judge_each
from continuum.judging.cached import CachedJudge
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.injection import has_content
from continuum.judging.judge import Judge, Judgement
from continuum.models.budget import Budget, BudgetExhausted
from continuum.progress import Progress, silent
from continuum.records import Interaction
from continuum.rubric import Criterion
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.anchors import AnchorRound
    from continuum.store.database import Store
    from continuum.store.overview import AnchorLook, ServedBy

EVERY = timedelta(days=7)
"""The longest time between two rounds."""
NEW_SERVER_AFTER = timedelta(days=1)
"""Providers serve one model from several builds by turns; another build than last time is a reason to look again, not at once."""
ALPHA = 0.01
SHIFT = 0.1
"""A smaller shift of the mean raises no alarm, however sure it is."""
KAPPA_FALL = 0.1
LEAST_PAIRS = 10
LEAST_LABELLED = 20
"""Below these numbers of conversations nothing is concluded from scores, or from agreement with people."""
SEPARATOR = " | "


@dataclass
class _Asked:
    """What has come back of one round."""

    scores: dict[str, float] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    served_by: set[str] = field(default_factory=set)
    cost_usd: float = 0.0
    cached: bool = False


def anchors_due(store: "Store", task: str, judge: Judge, rubric: str, now: Callable[[], datetime] = utc_now) -> str | None:
    """Why the anchors should be judged again, in words; None where they need not be, or there are none."""
    from continuum.store.overview import AnchorLook, ServedBy
    from continuum.store.scores import Scores

    if not store.reviews.ids(task, "anchor"):
        return None
    mine = [done for done in store.anchors.of(task, rubric=rubric) if done.judge == judge.name]
    last = AnchorLook(mine[-1].version, mine[-1].served_by, mine[-1].created_at) if mine else None

    def served_by() -> ServedBy | None:
        newest = Scores(store.engine).newest_judge(task, judge=judge.name)
        return None if newest is None else ServedBy(newest.served_by, newest.at)

    return why_due(judge, last, served_by, now())


def why_due(judge: Judge, last: "AnchorLook | None", served_by: "Callable[[], ServedBy | None]", now: datetime) -> str | None:
    """Why anchors that there are should be judged again, in words; None where they need not be.

    Args:
        judge: as it is now.
        last: the newest time that it was given them by the rubric of now; None before the first.
        served_by: tells what stood behind its name when it last selected; asked only where that decides.
        now: the moment.
    """
    if last is None:
        return f"{judge.name} has not judged the anchors by this rubric"
    if last.version != judge.version:
        return f"{judge.name} has changed: it was {last.version} and is {judge.version}"
    age = now - last.at
    if age >= EVERY:
        return f"the anchors were last judged {age.days} days ago"
    newest = served_by() if age >= NEW_SERVER_AFTER else None
    if newest is None or not newest.model or newest.at <= last.at:
        return None
    if newest.model in (last.served_by or "").split(SEPARATOR):
        return None
    return f"{judge.name} is served by {newest.model}, and was by {last.served_by or 'an unnamed model'}"


async def rejudge_anchors(
    store: "Store",
    task: str,
    judge: Judge,
    criteria: Sequence[Criterion],
    *,
    budget: Budget | None = None,
    concurrency: int = 8,
    now: Callable[[], datetime] = utc_now,
    on_progress: Progress = silent,
) -> "AnchorRound":
    """Judge a task's anchors anew, compare with the first time, and store the round.

    A round that the budget cuts short is stored with what was judged, and not at all where that is nothing.

    Args:
        store: where the anchors are.
        task: whose.
        judge: the judge as it is now; a cache around it is passed by.
        criteria: the rubric.
        budget: what pays; that of the task's `probes`.
        concurrency: judgements under way at once.
        now: the clock.
        on_progress: told after each judgement.

    Returns:
        The round; its `alarm` says whether the judge has drifted, its `evidence` why.

    Raises:
        NotEnoughData: the task has no anchors.
        ConfigurationError: the judge answered from a cache within it, or cannot be asked at all.
        JudgeError: not one judgement succeeded.
    """
    from continuum.store.anchors import AnchorRound

    while isinstance(judge, CachedJudge):
        judge = judge.asked
    found = store.interactions.get_many(store.reviews.ids(task, "anchor"))
    anchors = [found[one] for one in sorted(found) if has_content(found[one].response)]
    if not anchors:
        raise NotEnoughData(f"task {task!r} has no anchors; they are frozen once enough is judged", available=0, needed=1)
    asked = _Asked()

    def take(anchor: Interaction, outcome: Judgement | JudgeError) -> None:
        if isinstance(outcome, Judgement):
            _note(asked, anchor.id, outcome)
        elif not isinstance(outcome, BudgetExhausted):
            asked.statuses["failed"] += 1
        on_progress(asked.statuses.total(), len(anchors), f"judging the anchors of {task}")

    cases = ((anchor, anchor.messages, anchor.response) for anchor in anchors if anchor.response is not None)
    await judge_each(cases, criteria, judge, on_outcome=take, concurrency=concurrency, budget=budget)
    if asked.cached:
        raise ConfigurationError(
            f"judge {judge.name!r} gave judgements of the anchors that it had given before; give the judge without its cache"
        )
    rubric = rubric_fingerprint(criteria)
    compared = compare_rounds(store, task, judge.name, rubric, asked.scores, {one.id: one.conversation_id for one in anchors})
    evidence = {
        "anchors": len(anchors),
        "judged": len(asked.scores),
        "statuses": dict(sorted(asked.statuses.items())),
        "cost_usd": asked.cost_usd,
        "budget_exhausted": budget is not None and budget.exhausted,
        **compared,
    }
    done = AnchorRound(
        task=task,
        judge=judge.name,
        version=judge.version,
        rubric=rubric,
        served_by=SEPARATOR.join(sorted(asked.served_by)) or None,
        scores=asked.scores,
        evidence=evidence,
        alarm=bool(compared["alarms"]),
        created_at=now(),
    )
    if done.scores:
        store.anchors.add(done)
    return done


def _note(asked: _Asked, anchor: str, judgement: Judgement) -> None:
    asked.statuses[judgement.status] += 1
    asked.cost_usd += judgement.cost_usd
    asked.cached |= judgement.cached
    if judgement.overall is not None:
        asked.scores[anchor] = judgement.overall
    if judgement.served_by:
        asked.served_by.add(judgement.served_by)


def compare_rounds(
    store: "Store", task: str, judge: str, rubric: str, scores: Mapping[str, float], conversations: Mapping[str, str | None]
) -> dict[str, Any]:
    """How scores of the anchors stand to the first round of the same rubric by the same judge.

    Where this judge has none, they stand to the newest round of the judge before it: one alarm says that scores from before
    and after the change cannot be compared, and from then on the new judge is held to itself.

    Returns:
        The evidence; `alarms` in it says in words what is wrong, and is empty where nothing is.
    """
    rounds = store.anchors.of(task, rubric=rubric)
    baseline = next((done for done in rounds if done.judge == judge), rounds[-1] if rounds else None)
    if baseline is None:
        return {"compared_with": None, "alarms": []}
    both = sorted(scores.keys() & baseline.scores.keys())
    groups = {one: conversations.get(one) or one for one in both}
    found, people = _Compared(judge, baseline), people_on_anchors(store, task)
    found.scores(scores, both, groups)
    found.agreement(scores, people, [one for one in both if one in people], groups)
    return found.evidence


class _Compared:
    """Tests a round against an earlier one."""

    def __init__(self, judge: str, baseline: "AnchorRound") -> None:
        self.judge = judge
        self.baseline = baseline
        self.evidence: dict[str, Any] = {
            "compared_with": {
                "round": baseline.id,
                "at": baseline.created_at.isoformat(),
                "judge": baseline.judge,
                "version": baseline.version,
                "served_by": baseline.served_by,
            },
            "alpha": ALPHA,
            "alarms": [],
        }

    def scores(self, scores: Mapping[str, float], ids: Sequence[str], groups: Mapping[str, str]) -> None:
        from continuum.statistics.drift import mean_shift

        if _conversations(ids, groups) < LEAST_PAIRS:
            return
        before, after = [self.baseline.scores[one] for one in ids], [scores[one] for one in ids]
        shift = mean_shift(before, after, [groups[one] for one in ids], alpha=ALPHA)
        self.evidence["shift"] = asdict(shift)
        if shift.p < ALPHA and abs(shift.shift) > SHIFT:
            words = f"scores the anchors {abs(shift.shift):.2f} {'higher' if shift.shift > 0 else 'lower'} than on"
            self._alarm(words, f"mean {shift.after:.2f} after {shift.before:.2f} (n={shift.items}, p={shift.p:.2g})")

    def agreement(
        self, scores: Mapping[str, float], people: Mapping[str, float], ids: Sequence[str], groups: Mapping[str, str]
    ) -> None:
        from continuum.statistics.drift import kappa_fall

        if _conversations(ids, groups) < LEAST_LABELLED:
            return
        said, before, after = ([of[one] for one in ids] for of in (people, self.baseline.scores, scores))
        fall = kappa_fall(said, before, after, [groups[one] for one in ids])
        self.evidence["agreement_with_people"] = asdict(fall)
        if fall.p < ALPHA and fall.fall > KAPPA_FALL:
            numbers = f"kappa {fall.after:.2f} after {fall.before:.2f} (n={fall.items}, p={fall.p:.2g})"
            self._alarm("agrees less with people on the anchors than on", numbers)

    def _alarm(self, words: str, numbers: str) -> None:
        self.evidence["alarms"].append(f"{self.judge} {words} {self.baseline.created_at:%Y-%m-%d}: {numbers}")


def people_on_anchors(store: "Store", task: str) -> dict[str, float]:
    """What people said of the anchors when they were asked, by interaction id."""
    from continuum.judging.calibration import asked_ratings

    return {one: rating.score for one, rating in asked_ratings(store, task, "anchor").items()}


def _conversations(ids: Sequence[str], groups: Mapping[str, str]) -> int:
    return len({groups[one] for one in ids})
