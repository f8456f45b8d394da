"""What each version forgot beside its task: the losses that its verdict holds, read and not measured again.

A loss is in nats a token: lower is better. The verdict's own difference is against what the version was compared with, which is
what the turn forgot; beside it stands the difference from the base without an adapter, which is what the whole line forgot.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from continuum.analytics.arms import BASE, FORGETTING, PRODUCTION, Contender
from continuum.analytics.beside import Reading
from continuum.analytics.gains import Gain, as_gain
from continuum.statistics.means import Estimate, estimate

if TYPE_CHECKING:
    from continuum.records import Verdict
    from continuum.store.database import Store

UNIT = "nats a token"
NO_VERDICT = "no verdict was given on it: continuum guard measures it"
NOT_MEASURED = "its verdict measured no earlier ability (guard.capability was off)"


def forgetting_readings(store: "Store", contenders: Sequence[Contender]) -> list[Reading]:
    """The readings of all versions among the models; the others learned nothing that could be forgotten."""
    found = []
    called = {one.checkpoint.id: one.name for one in contenders if one.checkpoint is not None}
    for contender in contenders:
        if contender.checkpoint is not None:
            found += _of_verdict(contender.name, store.verdicts.latest(contender.checkpoint.id), called)
    return found


def _of_verdict(model: str, verdict: "Verdict | None", called: Mapping[str, str]) -> list[Reading]:
    if verdict is None:
        return [Reading(FORGETTING, FORGETTING, model, NO_VERDICT)]
    kept = verdict.evidence.get("capability") or {}
    losses = kept.get("losses") or {}
    if not losses:
        why = "; ".join(str(note) for note in kept.get("notes", ())) or NOT_MEASURED
        return [Reading(FORGETTING, FORGETTING, model, why)]
    against = called.get(verdict.baseline) or str((verdict.evidence.get("baseline") or {}).get("model") or verdict.baseline)
    # Of production no probability is known: the verdict measured from the base then.
    before = BASE if verdict.baseline in (PRODUCTION, BASE) else against
    return [one for name, loss in sorted(losses.items()) for one in _of_text(model, name, loss, before)]


def _of_text(model: str, name: str, loss: Mapping[str, Any], before: str) -> list[Reading]:
    label, documents, groups = f"{name}, {UNIT}", int(loss["documents"]), int(loss["groups"])
    on = f"{documents} texts that its verdict measured"
    if loss["candidate"] is None:
        return [Reading(FORGETTING, label, model, f"{on}: its loss is no number, the model is broken")]
    nats = loss.get("nats") or {}
    value = _estimate(nats.get("candidate"), documents, groups) or Estimate(loss["candidate"], None, None, documents, groups)
    change = None
    if loss["change"] is not None:
        change = Gain(loss["change"], loss["low"], loss["high"], documents, groups, lower_is_better=True)
    found = [Reading(FORGETTING, label, model, on, value, change, before if change else "")]
    base = _estimate(_less(nats.get("candidate"), nats.get("base")), documents, groups)
    if base is not None and before != BASE:
        found.append(Reading(FORGETTING, label, model, on, value, as_gain(base, lower_is_better=True), BASE))
    return found


def _less(values: Sequence[float | None] | None, others: Sequence[float | None] | None) -> list[float | None] | None:
    if values is None or others is None or len(values) != len(others):
        return None
    return [None if a is None or b is None else a - b for a, b in zip(values, others, strict=True)]


def _estimate(values: Sequence[float | None] | None, documents: int, groups: int) -> Estimate | None:
    """The mean over documents; None where the verdict keeps no single ones, or not which of them belong together."""
    if values is None or len(values) != documents or groups != documents:
        return None
    known = [value for value in values if value is not None]
    return estimate(known, [f"{n}" for n in range(len(known))]) if len(known) == documents else None
