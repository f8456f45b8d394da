"""People's verdicts: one person at work on one queue, whatever they look at it through.

A vote is a trusted, explicit feedback row and the label that points to it, in one transaction, so that curation and
calibration find it where all feedback is, and a process that is killed has stored the vote or has not. All state is in the
store. What the judge said is told once the person has voted.
"""

import getpass
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, get_args

from continuum.annotation.questions import JudgeOpinion, Question, editable, opinion_of, question_of, visible
from continuum.config import Settings, load_settings
from continuum.errors import ConfigurationError, ContinuumError
from continuum.records import Feedback, Label, Review
from continuum.spool.finishing import finish_feedback
from continuum.spool.opinions import MAX_TEXT, checked_feedback
from continuum.spool.users import hashed_user, user_key
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.reviews import QueueCount

Queue = Literal["audit", "useful", "anchor", "golden"]
QUEUES: tuple[Queue, ...] = get_args(Queue)

OVERLAP: dict[Queue, int] = {"audit": 2, "useful": 1, "anchor": 2, "golden": 1}
"""How many people are asked about one item: two where it is to be seen how far people agree, else one."""
SPREAD = 20
"""People who work at the same time start among the first so many, each elsewhere, so that they seldom meet at one item."""
MAX_NAME = 64

HOW_TO_FILL: dict[Queue, str] = {
    "audit": "a random share (judge.audit_rate) of what is judged is put into it: continuum annotate {task}",
    "useful": "what people's verdicts would teach most about is put into it when the task is judged: continuum annotate {task}",
    "anchor": "anchors are drawn once, when ten times as many answers are judged (judge.anchors): continuum annotate {task}",
    "golden": "what is to join the golden dataset is put into it where people confirm that (splits.confirm_golden): "
    "continuum golden {task} --refresh",
}


class AlreadyAnswered(ContinuumError):
    """This person has answered this item before, in another window or terminal."""


@dataclass(frozen=True)
class Voted:
    """What became of a vote, and what may now be seen."""

    review_id: str
    score: float
    comment: str | None
    correction: str | None
    """As it is stored: with personal data taken out."""
    opinion: JudgeOpinion | None
    """None where no judge has looked at it."""
    reason: str
    """Why the item is in the queue."""


@dataclass(frozen=True)
class TakenBack:
    """An item that is asked about again, with what had been said of it."""

    question: Question
    comment: str | None = None
    correction: str | None = None


class Labelling:
    """One person and one queue of a task.

    Args:
        store: where everything is.
        task: whose interactions.
        queue: which queue.
        labeller: the person's name; the login name when left out. Upper and lower case are the same.
        overlap: how many people are asked about one item; 2 of `audit` and `anchor`, 1 of `useful` and `golden` when left out.
        settings: how feedback is redacted; the environment's when left out.
        now: the clock.

    Raises:
        ConfigurationError: there is no such task or queue, or the name cannot be one.
    """

    def __init__(
        self,
        store: "Store",
        task: str,
        queue: Queue = "audit",
        *,
        labeller: str | None = None,
        overlap: int | None = None,
        settings: Settings | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        store.tasks.get(task)
        if queue not in QUEUES:
            raise ConfigurationError(f"there is no queue {queue!r}; there are {', '.join(QUEUES)}")
        if overlap is not None and overlap < 1:
            raise ConfigurationError(f"overlap is {overlap}; at least one person must be asked about an item")
        self.store = store
        self.task = task
        self.queue: Queue = queue
        self.labeller = labeller_name(labeller)
        self.overlap = overlap or OVERLAP[queue]
        self.settings = settings or load_settings()
        self.now = now

    def beside(self, queue: Queue) -> "Labelling":
        """The same person at another queue."""
        options = {"labeller": self.labeller, "settings": self.settings, "now": self.now}
        return Labelling(self.store, self.task, queue, **options)

    def next(self) -> Question | None:
        """The next item for this person; None where nothing is left."""
        while waiting := self.store.reviews.waiting(self.task, self.queue, self.labeller, overlap=self.overlap, limit=SPREAD):
            review = waiting[0]
            if self.overlap == 1 and self._mine(review.id) is None:
                review = min(waiting, key=self._own_order)
            interaction = self.store.interactions.get(review.interaction_id)
            if interaction is not None:  # else it was erased a moment ago, and is no longer waiting
                return question_of(review, interaction)
        return None

    def vote(
        self,
        review_id: str,
        score: float | None,
        comment: str | None = None,
        correction: str | None = None,
        label: str | None = None,
    ) -> Voted:
        """Store this person's verdict. The same vote again, after an answer that got lost, changes nothing.

        Args:
            review_id: the item.
            score: of the answer as it was given, 1 (bad) to 5 (good).
            comment: what the person has to say.
            correction: the answer that should have been given.
            label: a short word.

        Raises:
            ConfigurationError: there is no such item, or a value cannot be one.
            AlreadyAnswered: the person has voted otherwise or passed, elsewhere.
            StoreError: the database failed; nothing is written.
        """
        if score is None:
            raise ConfigurationError("a vote needs a score from 1 (bad) to 5 (good); pass where you cannot tell")
        for name, text in (("comment", comment), ("correction", correction), ("label", label)):
            if isinstance(text, str) and len(text) > MAX_TEXT:
                raise ConfigurationError(f"the {name} has {len(text):,} characters; at most {MAX_TEXT:,} are kept")
        review = self._review(review_id)
        verdict = self._verdict(review, score, comment, self._changed(review, correction), label)
        label_ = Label(review_id=review_id, labeller=self.labeller, feedback_id=verdict.id, created_at=self.now())
        if not self.store.reviews.answer(label_, verdict):
            verdict = self._same_as_before(review_id, verdict)
        return self._told(review, verdict)

    def skip(self, review_id: str) -> None:
        """Pass: this person is not asked about the item again.

        Raises:
            ConfigurationError: there is no such item.
            AlreadyAnswered: the person has voted on it, elsewhere.
        """
        label = Label(review_id=self._review(review_id).id, labeller=self.labeller, created_at=self.now())
        if not self.store.reviews.answer(label) and self._answered(review_id).feedback_id is not None:
            raise AlreadyAnswered(f"{self.labeller} has voted on this item already; undo takes the vote back")

    def last(self) -> str | None:
        """The item that `undo` would take back."""
        label = self.store.reviews.newest_answer(self.task, self.queue, self.labeller)
        return None if label is None else label.review_id

    def undo(self, review_id: str | None = None) -> TakenBack | None:
        """Take an answer of this person back, the last one when none is named; None where there is none.

        What the judge said has been seen by then: the next vote on it is kept, and counts for nothing where people are
        compared with the judge.

        Raises:
            ConfigurationError: there is no such item.
        """
        review_id = review_id or self.last()
        if review_id is None:
            return None
        review = self._review(review_id)
        mine = self._mine(review_id)
        verdict = self.store.reviews.verdict(mine) if mine else None
        self.store.reviews.withdraw(review_id, self.labeller)
        interaction = self.store.interactions.get(review.interaction_id)
        if interaction is None:
            return None
        return TakenBack(
            question_of(review, interaction),
            comment=verdict.comment if verdict else None,
            correction=verdict.correction if verdict else None,
        )

    def progress(self) -> "QueueCount":
        """How far people are with the queue."""
        return self.store.reviews.count(self.task, self.queue, self.labeller, overlap=self.overlap)

    def how_to_fill(self) -> str:
        """What puts items into the queue."""
        return HOW_TO_FILL[self.queue].format(task=self.task)

    def _own_order(self, review: Review) -> bytes:
        return blake2b(f"{self.labeller} {review.id}".encode(), digest_size=8).digest()

    def _mine(self, review_id: str) -> Label | None:
        found = self.store.reviews.get(review_id)
        return next((label for label in found.labels if label.labeller == self.labeller), None) if found else None

    def _review(self, review_id: str) -> Review:
        found = self.store.reviews.get(review_id)
        if found is None or found.review.task != self.task:
            raise ConfigurationError(f"task {self.task!r} has no item {review_id!r:.80} to label; it may have been erased")
        return found.review

    def _answered(self, review_id: str) -> Label:
        label = self._mine(review_id)
        if label is None:
            raise AlreadyAnswered(f"{self.labeller} took this item back in another window this moment; vote again")
        return label

    def _changed(self, review: Review, correction: str | None) -> str | None:
        """The correction, where it says something else than the answer."""
        if not isinstance(correction, str) or not correction.strip():
            return correction or None
        interaction = self.store.interactions.get(review.interaction_id)
        given = interaction.response.text if interaction is not None and interaction.response is not None else ""
        return None if correction.strip() in (given.strip(), editable(given).strip()) else correction

    def _verdict(self, review: Review, score: float, comment: str | None, correction: str | None, label: str | None) -> Feedback:
        """The verdict as any feedback is stored: checked, redacted, the person as a keyed hash."""
        key = f"review:{review.id}:{hashed_user(self.labeller, user_key())}"
        said = checked_feedback(
            *(review.interaction_id, score, label, comment, correction),
            user_id=self.labeller,
            idempotency_key=key,
            trusted=True,
        )
        draft = said.model_copy(update={"recorded_at": self.now()}).model_dump(mode="json", exclude_none=True)
        if self.settings.redact != "off":
            draft["redact"] = self.settings.redactor
        return finish_feedback(draft)

    def _same_as_before(self, review_id: str, verdict: Feedback) -> Feedback:
        before = self.store.reviews.verdict(self._answered(review_id))
        if before is None:
            raise AlreadyAnswered(f"{self.labeller} has passed this item in another window; undo there to vote on it")
        if any(getattr(before, name) != getattr(verdict, name) for name in ("score", "label", "comment", "correction")):
            raise AlreadyAnswered(
                f"{self.labeller} has scored this item {before.score:g} in another window; that stands, and undo takes it back"
            )
        return before

    def _told(self, review: Review, verdict: Feedback) -> Voted:
        annotation = self.store.annotations.of([review.interaction_id]).get(review.interaction_id)
        return Voted(
            review_id=review.id,
            score=verdict.score or 0.0,
            comment=verdict.comment and visible(verdict.comment),
            correction=verdict.correction and visible(verdict.correction),
            opinion=None if annotation is None else opinion_of(annotation),
            reason=visible(review.reason),
        )


def labeller_name(name: str | None = None) -> str:
    """A person's name as it is stored: one form however it is typed; the login name where none is given.

    Raises:
        ConfigurationError: the name is empty, too long or holds what cannot be seen, or there is no login name.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError) as error:
            raise ConfigurationError("nobody is logged in by name here; say who labels with: --as NAME") from error
    plain = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    if not plain or len(plain) > MAX_NAME or not plain.isprintable():
        raise ConfigurationError(f"the labeller's name is {name!r:.80}; it must be 1 to {MAX_NAME} visible characters")
    return plain
