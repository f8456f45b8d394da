"""What the view of a deployment says of its evidence, in words: quality with its age, the split, what judging costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.excerpts import excerpt
from continuum.serving_records import DeploymentEvent, DeploymentState
from continuum.timespan import rounded

if TYPE_CHECKING:
    from continuum.deployment.standing import Standing

LONGEST_WORDS = 400
OLD = timedelta(minutes=1)
"""What is older says how old it is."""


@dataclass(frozen=True)
class Looked:
    """What a look of this process came to."""

    at: datetime
    words: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """Judged conversations of one arm."""

    mean: float | None
    """From 0 to 1; None where none has a score."""
    conversations: int


@dataclass(frozen=True)
class Quality:
    """The last that is known of a deployment's judged quality."""

    at: datetime
    candidate: Scored
    stable: Scored | None
    """None of a champion, who is compared with nobody."""


def last_quality(one: "Standing", looks: Sequence[Looked]) -> Quality | None:
    """The newest quality that any look found, of this process or of one that wrote it down; None where none ever did.

    A look without a judge finds none: it takes nothing from what is known.

    Args:
        one: the deployment.
        looks: of this process.
    """
    found = [(look.at, look.evidence) for look in looks] + [(event.at, event.evidence) for event in one.events]
    for at, evidence in sorted(found, key=lambda each: each[0], reverse=True):
        quality = quality_in(at, evidence)
        if quality is not None:
            return quality
    return None


def quality_in(at: datetime, evidence: Mapping[str, Any]) -> Quality | None:
    """The quality that one look found; None where no judge said anything."""
    compared = evidence.get("quality") or {}
    candidate, stable = _scored(compared.get("candidate")), _scored(compared.get("stable"))
    if candidate.conversations or stable.conversations:
        return Quality(at, candidate, stable)
    alone = _scored(evidence.get("alone"))
    fall = evidence.get("fall") or {}
    if not alone.conversations and fall.get("scores"):
        alone = Scored(fall.get("mean"), fall["scores"])
    return Quality(at, alone, None) if alone.conversations else None


def newest_evidence(one: "Standing", looks: Sequence[Looked]) -> tuple[datetime | None, Mapping[str, Any]]:
    """The evidence of the newest look that had any, and when that was."""
    newest = max((look for look in looks if look.evidence), key=lambda look: look.at, default=None)
    if newest is not None and (one.evidence_at is None or newest.at >= one.evidence_at):
        return newest.at, newest.evidence
    return one.evidence_at, one.evidence


def age(at: datetime, now: datetime) -> str:
    """How long ago something was, to its largest unit; nothing where it is fresh."""
    span = now - at
    return "" if span < OLD else f"{' '.join(rounded(span).split(' ')[:2])} ago"


def percent(share: float) -> str:
    """A share as people say it; one of less than 1% is not 0%."""
    return f"{share * 100:.3g}%"


def told_in_details(one: "Standing", looks: Sequence[Looked], quality: Quality | None, now: datetime) -> Iterator[str]:
    """Lines on what the newest evidence says, the most important first; one where nobody has looked yet.

    Args:
        one: the deployment.
        looks: of this process.
        quality: the last that is known, which the newest look need not have found.
        now: the moment.
    """
    looked = next((look.words for look in sorted(looks, key=lambda look: look.at, reverse=True)), "")
    # The alarm stands at the top of the view, and once is enough.
    if looked and (one.record.alarm is None or excerpt(looked, LONGEST_WORDS) not in excerpt(one.record.alarm, LONGEST_WORDS)):
        yield f"last look: {excerpt(looked, LONGEST_WORDS)}"
    at, evidence = newest_evidence(one, looks)
    if at is None or not evidence:
        if not looked:
            yield "quality: not looked at yet"
        return
    when = f", {said} ({at:%m-%d %H:%M} UTC)" if (said := age(at, now)) else ""
    found_by = "quality" if quality is not None and quality.at == at else f"the last look{when}"
    words = str((evidence.get("quality") or {}).get("words") or "")
    if words and words not in looked and words not in (one.record.alarm or ""):
        yield f"{found_by}: {excerpt(words, LONGEST_WORDS)}"
    yield from _told(evidence)


def event_line(event: DeploymentEvent, already: str) -> str:
    """What happened, in one line; a reason that stands somewhere else in the view is not told twice.

    Args:
        event: what happened.
        already: what the view says besides.
    """
    share = f" {percent(event.from_traffic)} → {percent(event.to_traffic)}" if event.from_traffic != event.to_traffic else ""
    line = f"{event.at:%m-%d %H:%M:%S} {excerpt(event.action)}{share} by {excerpt(event.actor)}"
    reason = excerpt(event.reason, LONGEST_WORDS)
    return line if not reason or reason in already else f"{line}: {reason}"


def compared_words(quality: Quality | None, state: DeploymentState, now: datetime) -> str:
    """The judged quality of both arms in a few words, with how many conversations were judged, and how long ago."""
    if quality is None:
        return "quality not judged yet"
    said = f"quality {_mean(quality.candidate)} ({quality.candidate.conversations} judged)"
    if quality.stable is not None:
        said += f" against {_mean(quality.stable)} ({quality.stable.conversations})"
    return ", ".join(words for words in (said, _stage(quality, state), age(quality.at, now)) if words)


def found_words(quality: Quality, state: DeploymentState, now: datetime) -> str:
    """When the quality that is shown was found; nothing where it is of now."""
    words = [said for said in (age(quality.at, now), _stage(quality, state)) if said]
    return f"quality found {', '.join(words)} ({quality.at:%m-%d %H:%M} UTC)" if words else ""


def _stage(quality: Quality, state: DeploymentState) -> str:
    return "on trial" if quality.stable is not None and state is DeploymentState.LIVE else ""


def _mean(scored: Scored) -> str:
    return "unknown" if scored.mean is None else f"{scored.mean:.3f}"


def _scored(found: Any) -> Scored:
    known = found if isinstance(found, Mapping) else {}
    return Scored(known.get("mean"), known.get("conversations") or 0)


def _told(evidence: Mapping[str, Any]) -> Iterator[str]:
    if fall := evidence.get("fall"):
        of = f"{fall['scores']} conversations"
        held = f"{fall['mean']:.3f} on {of}, and must not fall below {fall['reference']:.3f}"
        yield f"since it serves everybody: quality {held}"
    if (split := evidence.get("split")) and split["candidate"] + split["stable"]:
        yield f"split: {_split(split)}"
    if spend := evidence.get("spend"):
        limit = "no limit" if spend.get("limit_usd") is None else f"the limit is ${spend['limit_usd']:.2f}"
        period = f"since {spend['period']}" if spend.get("period") else "in all"
        spent = f"${spend['period_usd']:.2f} {period} ({limit})"
        yield f"judging cost ${spend['this_look_usd']:.4f} in the last look, {spent}"


def _split(split: Mapping[str, Any]) -> str:
    from continuum.deployment.watch.live_findings import SPLIT_SURELY  # the statistics start here

    of = split["candidate"] + split["stable"]
    verdict = "surely not as configured" if split["p"] < SPLIT_SURELY else "as configured"
    went = f"{split['candidate']} of {of} conversations and users went to the candidate"
    return f"{went}, {split['expected']:.0f} were expected: {verdict}"
