"""Implicit feedback: what people did after an answer, read from the log of a task.

| signal | what is seen | says |
|---|---|---|
| `rephrase` | the next message asks the same in other words, within minutes | bad |
| `retry` | the next message is the same, within minutes | bad |
| `regenerate` | the same messages were answered again | bad |
| `abandonment` | the person left early, or after having tried again, without a word of thanks | bad, not sure |
| `edit_distance` | the answer was used after changes | as much changed, as bad |
| `returned` | the person who had left came back: takes the abandonment back | nothing |

Each finding is a row with a key made of the signal and the interaction, so that a second run adds nothing. Rows are only ever
added; `standing` says which of them hold.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING

from continuum.records import Feedback, Interaction
from continuum.signals.sessions import Exchange, Turn, sessions_of, turn_of
from continuum.splits.ratings import goodness, human_rating
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.embedding.embedder import Embedder
    from continuum.store.database import Store

AGAIN_WITHIN = timedelta(minutes=10)
"""What is asked later than this after an answer is another matter."""
SOONEST = timedelta(seconds=1)
"""What is asked again faster than this was asked by a program."""
QUIET = timedelta(minutes=30)
"""Nobody is taken to have left before this, nor before 99 in 100 of the task's answers would have been replied to."""
LOOK_BACK = timedelta(days=7)
"""How long before `since` sessions may have begun that went on after it."""
FEWEST_SESSIONS = 20
"""With fewer, nothing is known of how long a talk usually is."""
LONGEST_DRAFT = 20_000
"""Characters of a draft that are compared with what became of it."""
PAGE = 500

CONFIDENCE = {
    # Asking again is mostly about the answer, but people also add what they forgot, or ask twice out of habit.
    "rephrase": 0.6,
    "retry": 0.65,
    "regenerate": 0.65,
    # Most talks end after an answer, good or bad: leaving alone says little. Having tried again before says more.
    "abandonment": 0.2,
    "abandonment after trying again": 0.35,
    # What was used was read; how much changing it says depends on taste as well.
    "edit_distance": 0.75,
}
"""How often an answer is as the signal says. Priors, not measurements: they are counted anew once people have said enough."""
BAD = 2.0

CALIBRATION_SIZE = 30
"""Answers with a signal and a verdict from which on the verdicts count."""
CALIBRATION_PRIOR = 10
"""How many verdicts the confidence above weighs then."""


@dataclass(frozen=True)
class Calibration:
    """How often a signal is right, as far as people have said."""

    signal: str
    verdicts: int
    """Answers with this signal that people have scored as well."""
    right: int
    """Those that people scored as the signal says."""
    usual: float | None
    """The share of all scored answers of which the same would be right: a signal no better than this says nothing."""
    confidence: float
    calibrated: bool
    """False where the verdicts are too few, and the confidence is the prior."""


@dataclass(frozen=True)
class ImplicitReport:
    """What a run found."""

    task: str
    interactions: int
    sessions: int
    found: Mapping[str, int]
    """Signal to how many answers have it, in what was read."""
    added: int
    """Rows that were new."""
    calibration: tuple[Calibration, ...]
    embedder: str

    @property
    def calibrated(self) -> bool:
        """Whether any confidence was counted rather than assumed."""
        return any(one.calibrated for one in self.calibration)


@dataclass(frozen=True, slots=True)
class Finding:
    """A signal on an interaction, not yet with its confidence."""

    signal: str
    interaction_id: str
    at: datetime
    score: float | None = BAD
    kind: str = ""
    """The key into CONFIDENCE where it is not the signal itself."""
    source: str = ""
    """What else the key is made of: the feedback it was derived from."""

    @property
    def assumption(self) -> str:
        """Its key in CONFIDENCE."""
        return self.kind or self.signal

    @property
    def key(self) -> str:
        """Makes it one row, however often it is found."""
        return ":".join(("implicit", self.signal, self.interaction_id, *([self.source] if self.source else [])))


def derive_implicit(
    store: "Store",
    task: str,
    *,
    since: datetime | None = None,
    embedder: "Embedder | None" = None,
    now: Callable[[], datetime] = utc_now,
) -> ImplicitReport:
    """Find the implicit signals in a task's log and store them as feedback of kind `implicit`; they are nobody's verdict.

    Args:
        since: read what began from then on, and the week before it, in which its sessions may have begun; everything without.
        embedder: measures whether two messages are about the same; the hashed one without.
        now: the moment at which it is asked who has left.
    """
    from continuum.embedding.embedder import HashedEmbedder  # numpy starts here

    embedder = embedder or HashedEmbedder()
    log = Log.read(store, task, since)
    sessions = sessions_of(log.turns)
    findings = [*_asked_again(sessions, embedder), *log.edits]
    findings += _left(sessions, {finding.interaction_id for finding in findings}, now())
    findings += _returned(sessions, log.labels)
    # What the application reports itself it knows better.
    findings = [one for one in findings if one.signal not in log.reported.get(one.interaction_id, ())]
    calibration = _calibrate(findings, log.verdicts)
    added = store.feedback.add(_rows(findings, {one.signal: one.confidence for one in calibration}), now=now)
    found = dict(sorted(Counter(finding.signal for finding in findings).items()))
    return ImplicitReport(task, len(log.turns), len(sessions), found, added, calibration, embedder.id)


def standing(feedback: Iterable[Feedback]) -> dict[str, Feedback]:
    """The implicit signals that hold for one interaction, by label: of each the newest, and none that was taken back."""
    newest = {said.label: said for said in feedback if said.kind == "implicit" and said.label}
    if newest.pop("returned", None):
        # Nothing follows what was last, so who came back has not left there, whatever was stored first.
        newest.pop("abandonment", None)
    return newest


@dataclass(frozen=True)
class Log:
    """A task's interactions and what was said of them, reduced to what the signals take."""

    turns: list[Turn]
    edits: list[Finding]
    labels: dict[str, set[str]]
    """Interaction to the implicit signals that are stored for it."""
    reported: dict[str, set[str]]
    """The same, of those that the application reported."""
    verdicts: dict[str, float]
    """Interaction to how good people say it is, 0 to 1."""

    @classmethod
    def read(cls, store: "Store", task: str, since: datetime | None) -> "Log":
        """Read it in pages."""
        log = cls([], [], {}, {}, {})
        raters = store.raters.of(task)
        scan = store.interactions.scan(task, since=since and since - LOOK_BACK, status=None)
        while page := list(islice(scan, PAGE)):
            said = store.feedback.of(page)
            for interaction in page:
                if (turn := turn_of(interaction)) is not None:
                    log.turns.append(turn)
                if feedback := said.get(interaction.id):
                    log._note(interaction, feedback)
                    score = human_rating(feedback, raters).score
                    if score is not None:
                        log.verdicts[interaction.id] = goodness(score)
        return log

    def _note(self, interaction: Interaction, feedback: Sequence[Feedback]) -> None:
        for one in feedback:
            if one.kind != "implicit":
                continue
            if one.label:
                self.labels.setdefault(interaction.id, set()).add(one.label)
                if not (one.idempotency_key or "").startswith("implicit:"):
                    self.reported.setdefault(interaction.id, set()).add(one.label)
            if one.correction and one.score is None and interaction.response is not None and interaction.response.text:
                changed = share_changed(interaction.response.text, one.correction)
                self.edits.append(
                    Finding("edit_distance", interaction.id, one.recorded_at, round(5 - 4 * changed, 3), source=one.id)
                )


def share_changed(draft: str, final: str) -> float:
    """Of the words of the longer text, the share that was put in, taken out or replaced: 0 is untouched, 1 all new."""
    from rapidfuzz.distance import Levenshtein

    from continuum.similarity.normalise import canonical

    before, after = (canonical(text[:LONGEST_DRAFT]).split() for text in (draft, final))
    return Levenshtein.normalized_distance(before, after)


def _asked_again(sessions: Sequence[Sequence[Exchange]], embedder: "Embedder") -> Iterator[Finding]:
    from continuum.signals.rephrase import rephrased, says_something

    pairs: list[tuple[Exchange, Exchange]] = []
    for session in sessions:
        for first, second in pairwise(session):
            waited = second.asked.started_at - first.answer.ended_at
            if not first.answer.answered or not second.asked.by_person or not SOONEST <= waited <= AGAIN_WITHIN:
                continue
            if first.asked.context == second.asked.context and second.asked.before is not None:
                yield Finding("regenerate", first.answer.id, second.asked.started_at)
            elif first.asked.asked == second.asked.asked:
                # Where an application sends only the last message, two replies of "yes" look the same as one asked again.
                if says_something(second.asked.asked):
                    same = first.asked.context == second.asked.context
                    yield Finding("regenerate" if same else "retry", first.answer.id, second.asked.started_at)
            else:
                pairs.append((first, second))
    again = rephrased([(first.asked.asked, second.asked.asked) for first, second in pairs], embedder)
    for (first, second), is_again in zip(pairs, again, strict=True):
        if is_again:
            yield Finding("rephrase", first.answer.id, second.asked.started_at)


def _left(sessions: Sequence[Sequence[Exchange]], flagged: set[str], now: datetime) -> Iterator[Finding]:
    """Sessions that ended early for this task, or right after the person had asked again, and not with thanks."""
    from continuum.signals.rephrase import closes

    waits = [
        (second.asked.started_at - first.answer.ended_at).total_seconds()
        for session in sessions
        for first, second in pairwise(session)
    ]
    patience = max(QUIET, timedelta(seconds=quantiles(waits, n=100)[-1])) if len(waits) > 1 else QUIET
    usual = median(len(session) for session in sessions) if len(sessions) >= FEWEST_SESSIONS else 0
    for session in sessions:
        last = session[-1]
        if not last.answer.answered or now - last.answer.ended_at < patience or closes(last.asked.asked):
            continue
        tried_again = len(session) > 1 and session[-2].answer.id in flagged
        if tried_again or len(session) < usual:
            kind = "abandonment after trying again" if tried_again else ""
            yield Finding("abandonment", last.answer.id, last.answer.ended_at + QUIET, kind=kind)


def _returned(sessions: Sequence[Sequence[Exchange]], labels: Mapping[str, set[str]]) -> Iterator[Finding]:
    for session in sessions:
        for first, second in pairwise(session):
            if "abandonment" in labels.get(first.answer.id, ()):
                yield Finding("returned", first.answer.id, second.asked.started_at, score=None)


def _calibrate(findings: Sequence[Finding], verdicts: Mapping[str, float]) -> tuple[Calibration, ...]:
    """How often each signal agreed with what people said of the same answer."""
    agreed: dict[str, list[bool]] = {}
    for finding in findings:
        good = verdicts.get(finding.interaction_id)
        if good is not None and finding.score is not None:
            agreed.setdefault(finding.assumption, []).append((good >= 0.5) == (finding.score > 3))
    bad = sum(good < 0.5 for good in verdicts.values()) / len(verdicts) if verdicts else None
    table = []
    for signal, prior in CONFIDENCE.items():
        right = agreed.get(signal, [])
        # Edits say good of one answer and bad of another, so there is no one share to hold them against.
        usual = None if bad is None or signal == "edit_distance" else round(bad, 3)
        enough = len(right) >= CALIBRATION_SIZE
        counted = (CALIBRATION_PRIOR * prior + sum(right)) / (CALIBRATION_PRIOR + len(right))
        table.append(Calibration(signal, len(right), sum(right), usual, round(counted, 3) if enough else prior, enough))
    return tuple(table)


def _rows(findings: Iterable[Finding], confidence: Mapping[str, float]) -> Iterator[Feedback]:
    for finding in findings:
        yield Feedback(
            interaction_id=finding.interaction_id,
            kind="implicit",
            label=finding.signal,
            score=finding.score,
            confidence=confidence.get(finding.assumption, 1.0),
            recorded_at=finding.at,
            idempotency_key=finding.key,
        )
