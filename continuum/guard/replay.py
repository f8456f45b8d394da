"""Deciding a verdict again from its own evidence, and naming the first number that does not come out as it was written.

What was measured is taken as it stands: the items' scores, the documents' losses, the word on each probe, the rule, the place in
the ledger. All that follows is worked out again by the code that worked it out the first time, and compared to the bit. The
fingerprint tells when what was measured was altered; who alters that too is found out by the verdict's proof.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from continuum.errors import ConfigurationError, StoreError
from continuum.guard.capability import EQUAL, TextLoss, share, text_loss
from continuum.guard.evidence import (
    Loss,
    audit_evidence,
    false_approval_rate,
    false_block,
    fingerprint_of,
    metric_evidence,
    plain_json,
    verdict_of,
)
from continuum.guard.kept_pairs import losses_of, read_pairs, worst_numbers
from continuum.guard.kept_probes import read_alignment
from continuum.guard.pairs import Gate, Pairs
from continuum.policy import GuardPolicy
from continuum.records import Verdict
from continuum.strict import explained

if TYPE_CHECKING:
    from continuum.store.database import Store

COVERED = "the scores, losses and judgements that it was decided by, the rule, and each number and word that follows from them"
NOT_COVERED = "notes, names of models, versions of libraries, the hash of the general texts, the verdict's task, id and time"
"""What nothing else in a verdict makes: a replay takes it as it stands."""
ABSENT = "nothing"
"""Stands for what one of two verdicts lacks."""
NAMED = 4
"""Missing fields that an error names."""


@dataclass(frozen=True)
class Difference:
    """Where a verdict is not what its evidence makes it."""

    path: str
    """Such as `evidence.metrics.helpfulness.delta`."""
    kept: Any
    """What the verdict says."""
    again: Any
    """What its evidence says."""

    def __str__(self) -> str:
        return f"{self.path} is {self.kept!r}, and its evidence makes it {self.again!r}"


def replay(verdict: Verdict) -> Verdict:
    """The verdict that the evidence of this one makes: equal to it to the last bit, or one of the two was altered.

    Raises:
        StoreError: the evidence cannot be read; an older version wrote it, or it was altered.
    """
    from continuum.guard.decision import decide  # numpy and scipy start here
    from continuum.guard.ruling import rule_on

    evidence = verdict.evidence
    pairs = read_pairs(evidence)
    try:
        rule = _rule(evidence)
        alignment = read_alignment(evidence["alignment"]) if evidence["alignment"] else None
        config = GuardPolicy.model_validate({name: evidence["rule"][name] for name in ASKED})
        checks = decide(pairs, rule)
        ruling = rule_on(checks, config, alignment)
        again = {
            **evidence,
            "golden": evidence["golden"] | _counts(evidence),
            "rule": evidence["rule"] | plain_json(rule),
            "metrics": {check.metric: metric_evidence(check) for check in checks},
            "gates": plain_json(ruling.gates),
            "false_block": false_block(ruling),
            "false_approval_rate": false_approval_rate(checks),
            "ledger": evidence["ledger"] and evidence["ledger"] | {"alpha": rule.approval_alpha},
            "alignment": alignment and plain_json(alignment.evidence()),
            "capability": _capability(evidence, pairs),
            "audit": audit_evidence(pairs),
            "worst": _worst(evidence),
            "loss": _loss(evidence),
        }
        again["fingerprint"] = fingerprint_of(again)
        return verdict_of(checks, ruling, again, task=verdict.task, id=verdict.id, created_at=verdict.created_at)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise StoreError(f"the evidence of verdict {verdict.id} cannot be decided again: {error!r}; it was altered") from error


ASKED = ("require_significance", "p_value_threshold", "on_inconclusive", "inconclusive_traffic", "alignment")
"""What a ruling asks of the guard's configuration."""


def differences(verdict: Verdict) -> list[Difference]:
    """Everything in which a verdict is not what its evidence makes it, in the verdict's order; empty for one that is.

    Raises:
        StoreError: the evidence cannot be read.
    """
    return list(_unlike("", verdict.model_dump(mode="json"), replay(verdict).model_dump(mode="json")))


def read_verdict(source: str, store: "Store") -> Verdict:
    """A verdict by its id, or from the JSON that a report of it is in.

    Raises:
        ConfigurationError: there is none.
        StoreError: the file is no verdict; the message says what it is instead.
    """
    found = store.verdicts.get(source)
    if found is not None:
        return found
    if not Path(source).is_file():
        raise ConfigurationError(
            f"{source!r} is neither the id of a verdict in the store nor a file; write one with --report FILE.json"
        )
    try:
        return Verdict.model_validate_json(Path(source).read_bytes())
    except (ValueError, OSError) as error:
        raise StoreError(f"{source} does not hold a verdict: {_instead(error)}; write one with --report FILE.json") from error


def require_as_stored(verdict: Verdict, store: "Store") -> bool:
    """Check that a verdict is the store's of the same id, word for word; this covers what a replay does not.

    Returns:
        False where the store has no verdict of that id.

    Raises:
        StoreError: it is not; the message names the first thing that differs.
    """
    stored = store.verdicts.get(verdict.id)
    if stored is None:
        return False
    for one in _unlike("", verdict.model_dump(mode="json"), stored.model_dump(mode="json")):
        raise StoreError(
            f"verdict {verdict.id} is not the store's: {one.path} is {one.kept!r:.200} here and {one.again!r:.200} there; "
            f"read the store's with: continuum guard --replay {verdict.id}"
        )
    return True


def require_reproducible(verdict: Verdict) -> None:
    """Check that a verdict is what its evidence makes it.

    Raises:
        StoreError: it is not; the message names the first number that differs.
    """
    if found := differences(verdict):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise StoreError(f"verdict {verdict.id} was altered: {found[0]}{more}; guard the model again")


def _instead(error: Exception) -> str:
    """In a few words, what a file is that holds no verdict."""
    if not isinstance(error, ValidationError):
        return f"it cannot be read ({error})"
    found = error.errors()
    if found[0]["type"] == "json_invalid":
        return "it is not one JSON document"
    if missing := [".".join(map(str, one["loc"])) for one in found if one["type"] == "missing"]:
        return f"it has no {', '.join(missing[:NAMED])}"
    if not found[0]["loc"]:
        return "it is JSON, and no object with a verdict's fields"
    return f"its {explained(error)}"


def _rule(evidence: Mapping[str, Any]) -> Any:
    from continuum.guard.decision import Rule
    from continuum.statistics.spending import approval_level

    rule = Rule(**{each.name: evidence["rule"][each.name] for each in fields(Rule)})
    if evidence["ledger"]:
        level = approval_level(rule.alpha, evidence["ledger"]["position"])
        return Rule(**{**{each.name: getattr(rule, each.name) for each in fields(Rule)}, "approval_alpha": level})
    return rule


def _counts(evidence: Mapping[str, Any]) -> dict[str, int]:
    return {"items": len(evidence["items"]), "groups": len({row["group"] for row in evidence["items"]})}


def _worst(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers as they are kept, with their numbers; as many as there are, for how many are kept may change."""
    rows = evidence["items"]
    found = losses_of(rows)
    return [
        kept | worst_numbers(rows[n], delta)
        for kept, (delta, n) in zip(evidence["worst"], found[: len(evidence["worst"])], strict=True)
    ]


def _loss(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    loss = evidence["loss"]
    if not loss or not loss["documents"]:
        return loss
    documents = loss["documents"]
    return plain_json(asdict(Loss.of(documents["candidate"], documents.get("baseline"), documents["base"])))


def _capability(evidence: Mapping[str, Any], pairs: Sequence[Pairs]) -> dict[str, Any] | None:
    """The means of the losses worked out again, and the pairs that were tested checked against the losses they come from."""
    capability = evidence["capability"]
    if not capability:
        return capability
    tested = {pair.part: pair for pair in pairs if pair.gate == Gate.CAPABILITY}
    return capability | {
        "losses": {
            name: plain_json(_text_loss(name, loss, tested[name])) if name in tested and loss["nats"] else loss
            for name, loss in capability["losses"].items()
        }
    }


def _text_loss(name: str, loss: Mapping[str, Any], pair: Pairs) -> TextLoss:
    after, before, base = (
        [nan if one is None else one for one in loss["nats"][arm]] for arm in ("candidate", "baseline", "base")
    )
    shares = [share(new, old) for new, old in zip(after, before, strict=True)]
    if shares != list(pair.candidate) or any(one != EQUAL for one in pair.baseline):
        raise StoreError(f"the scores on {name!r} are not those of the losses; the evidence was altered")
    return text_loss(pair.groups, after, before, base, loss["fingerprint"])


def _unlike(path: str, kept: Any, again: Any) -> Iterator[Difference]:
    if isinstance(kept, Mapping) and isinstance(again, Mapping):
        for name in [*kept, *(name for name in again if name not in kept)]:
            inner = f"{path}.{name}" if path else str(name)
            yield from _unlike(inner, kept.get(name, ABSENT), again.get(name, ABSENT))
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for n, (one, other) in enumerate(zip(kept, again, strict=True)):
            yield from _unlike(f"{path}[{n}]", one, other)
    elif type(kept) is not type(again) or repr(kept) != repr(again):
        yield Difference(path, kept, again)
