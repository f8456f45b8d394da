"""The Goodhart watch: a judge whose scores are selected by comes to be pleased rather than served.

A model that is trained on what one judge likes learns that judge's weaknesses too. So scores are compared from before and after a
change with witnesses that select nothing: a second judge of another family, and people's labels of the random audit stream.
Where the selecting judge's mean rises and a witness, who followed it before, does not, the alarm is raised with its evidence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from continuum.annotation.backlog import is_watched
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from continuum.statistics.rises import Rise, Shortfall
    from continuum.store.database import Store
    from continuum.store.scores import Scored

ALPHA = 0.01
LEAST_RISE = 0.1
"""A smaller rise of the selecting judge raises no alarm."""
RISEN = 0.5
"""A witness that rose by this share of what was to be expected has risen."""
LEAST_CONVERSATIONS = 20
"""Conversations that judge and witness scored, before and after each, below which nothing is concluded."""
CHANGES_TRIED = 10
LAST_DAYS = timedelta(days=14)
"""What is compared with the time before it where no change has enough traffic after it."""

Status = Literal["alarm", "quiet", "not enough"]

A_FORTNIGHT = "the beginning of the last fortnight"
"""What before and after are told by where nothing has changed."""


@dataclass(frozen=True)
class Witness:
    """One who selects nothing, beside the judge who selects."""

    name: str
    before: int
    """Conversations of before the change that it scored too."""
    after: int
    found: "Shortfall | None"
    """None where there are too few of them."""
    alarm: bool

    def words(self) -> str:
        """What the witness says, in one clause."""
        if self.found is None:
            return f"{self.name}: {self.before} and {self.after} conversations, {LEAST_CONVERSATIONS} are needed on each side"
        moved = f"{self.name} moved by {self.found.witness.rise:+.2f} where {self.found.expected:+.2f} was to be expected"
        vouches = "" if self.found.follows else ", and did not follow the judge before, so it cannot vouch for it"
        return f"{moved} (p={self.found.p:.2g}){vouches}"


@dataclass(frozen=True)
class GoodhartReport:
    """Whether the judge that selects is still worth what it says."""

    task: str
    status: Status
    judge: str | None
    """Who selects; None where nobody has judged."""
    change: str
    """What the time before is told from the time after by."""
    split: datetime
    since: datetime
    """Where the time before begins."""
    selecting: "Rise | None"
    """On all fresh traffic, by conversation; None where there is too little."""
    witnesses: tuple[Witness, ...]
    alpha: float = ALPHA

    @property
    def alarm(self) -> bool:
        """Whether the judge's rise is not borne out."""
        return self.status == "alarm"

    def words(self) -> str:
        """One line: the answer, and what it rests on."""
        if self.judge is None:
            return "not enough: nobody has judged"
        if self.selecting is None:
            return f"not enough: {self.judge} has scored too few conversations before or after {self.change}"
        risen = self.selecting
        moved = f"{self.judge} moved by {risen.rise:+.2f} since {self.change} ({risen.low:+.2f} to {risen.high:+.2f})"
        return "; ".join((f"{self.status}: {moved}", *(witness.words() for witness in self.witnesses)))

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        times = {"split": self.split.isoformat(), "since": self.since.isoformat()}
        return asdict(self) | times | {"words": self.words(), "alarm": self.alarm}


def goodhart(
    store: "Store",
    task: str,
    *,
    now: Callable[[], datetime] = utc_now,
    judge: str | None = None,
    rubric: str | None = None,
    split: datetime | None = None,
    window: str | timedelta = "90d",
) -> GoodhartReport:
    """Compare a judge's rise with that of its witnesses, from what is stored.

    An alarm needs all of this: the selecting judge's mean on fresh traffic rose, significantly and by more than a tenth of a
    point; a witness fell significantly short of the rise that its relation to the judge before the change predicts; and it rose
    by less than half of that. With two witnesses each is held to half the level.

    Args:
        store: where annotations and labels are.
        task: whose.
        now: the clock.
        judge: who selects; None for who judged last.
        rubric: by which rubric; None for the one it used last.
        split: where before ends and after begins; None for the newest deployment or training dataset with enough traffic on
            both sides, else the last fourteen days.
        window: how far before the split the time before reaches.
    """
    from continuum.store.scores import Scores

    at, scores = now(), Scores(store.engine)
    newest = scores.newest_judge(task, judge=judge)
    name, by = judge or (newest.judge if newest else None), rubric or (newest.rubric if newest else "")
    changes = (
        [(split, "the split")] if split else [*islice(_changes(store, task, at), CHANGES_TRIED), (at - LAST_DAYS, A_FORTNIGHT)]
    )
    if name is None:
        when, change = changes[-1]
        return GoodhartReport(task, "not enough", None, change, when, start_of(window, when) or when, None, ())

    def compared(when: datetime, change: str) -> GoodhartReport:
        begin = start_of(window, when) or when
        return _Comparison(store, task, name, by, when, f"{change} on {when:%Y-%m-%d}", begin, at).report()

    # The change is chosen by how much was scored around it, never by the scores.
    *recent, last = changes
    found = (compared(*change) for change in recent)
    return next((report for report in found if report.status != "not enough"), None) or compared(*last)


def _changes(store: "Store", task: str, now: datetime) -> Iterator[tuple[datetime, str]]:
    """What may have changed the answers, newest first."""
    found = [(one.created_at, f"the deployment of {one.model}") for one in store.deployments.of(task)]
    newest = store.datasets.latest(task)
    last = newest.version if newest else 0
    for version in range(last, max(0, last - CHANGES_TRIED), -1):
        record = store.datasets.get(f"{task}_training_v{version}")
        if record is not None:
            found.append((record.created_at, f"dataset {record.name}"))
    yield from sorted((change for change in found if change[0] < now), reverse=True)


@dataclass(frozen=True)
class _Comparison:
    """One change, and what was scored before and after it."""

    store: "Store"
    task: str
    judge: str
    rubric: str
    split: datetime
    change: str
    since: datetime
    until: datetime

    def report(self) -> GoodhartReport:
        """Compare."""
        selecting = self._sides(self._scored(self.judge, self.rubric, "selecting"))
        risen = self._rise(selecting)
        witnesses = self._witnesses(selecting)
        counted = sum(found is not None for _, _, _, found in witnesses)
        judged = [
            Witness(name, before, after, found, bool(found and risen and is_missing(risen, found, ALPHA / counted)))
            for name, before, after, found in witnesses
        ]
        status: Status = "quiet" if counted and risen else "not enough"
        if any(witness.alarm for witness in judged):
            status = "alarm"
        return GoodhartReport(self.task, status, self.judge, self.change, self.split, self.since, risen, tuple(judged))

    def _scored(self, judge: str, rubric: str, role: Literal["selecting", "second"]) -> "list[Scored]":
        from continuum.store.scores import Scores

        scored = Scores(self.store.engine).of(
            self.task, judge=judge, rubric=rubric, role=role, since=self.since, until=self.until
        )
        return [one for one in scored if one.overall is not None]

    def _sides(self, scored: "Sequence[Scored]") -> "tuple[list[Scored], list[Scored]]":
        """What lies before and what lies after; a conversation that goes on over the change counts as far as it was before."""
        first: dict[str, datetime] = {}
        for one in scored:
            first[one.group] = min(one.started_at, first.get(one.group, one.started_at))
        before = [one for one in scored if one.started_at < self.split]
        return before, [one for one in scored if first[one.group] >= self.split]

    def _rise(self, sides: "tuple[list[Scored], list[Scored]]") -> "Rise | None":
        from continuum.statistics.paired import group_means
        from continuum.statistics.rises import rise_of

        if any(len({one.group for one in side}) < LEAST_CONVERSATIONS for side in sides):
            return None
        means = [group_means([one.overall or 0.0 for one in side], [one.group for one in side]) for side in sides]
        return rise_of(means[0], means[1], alpha=ALPHA)

    def _witnesses(self, selecting: "tuple[list[Scored], list[Scored]]") -> "list[tuple[str, int, int, Shortfall | None]]":
        from continuum.judging.calibration import asked_ratings
        from continuum.store.scores import Scores

        people = {one: rating.score for one, rating in asked_ratings(self.store, self.task, "audit").items()}
        found = [("people", *self._against(selecting, people))]
        if second := Scores(self.store.engine).newest_judge(self.task, "second"):
            # What curation referred to it was chosen by the first judge's scores; only its random sample is a witness.
            policy = self.store.tasks.get(self.task).policy
            scored = self._scored(second.judge, second.rubric, "second")
            said = {one.interaction_id: one.overall or 0.0 for one in scored if is_watched(policy, one.interaction_id)}
            found.append((second.judge, *self._against(selecting, said)))
        return found

    def _against(
        self, sides: "tuple[list[Scored], list[Scored]]", said: Mapping[str, float]
    ) -> "tuple[int, int, Shortfall | None]":
        from continuum.statistics.paired import group_means
        from continuum.statistics.rises import shortfall_of

        both = [[one for one in side if one.interaction_id in said] for side in sides]
        before, after = (len({one.group for one in side}) for side in both)
        if min(before, after) < LEAST_CONVERSATIONS:
            return before, after, None
        means = [
            tuple(
                group_means(values, [one.group for one in side]).tolist()
                for values in ([one.overall or 0.0 for one in side], [said[one.interaction_id] for one in side])
            )
            for side in both
        ]
        return before, after, shortfall_of(means[0], means[1], alpha=ALPHA)


def is_missing(risen: "Rise", found: "Shortfall", alpha: float) -> bool:
    """Whether the judge rose and the witness did not."""
    judge_rose = risen.p < ALPHA and risen.rise > LEAST_RISE
    return judge_rose and found.p < alpha and found.witness.rise < RISEN * found.expected
