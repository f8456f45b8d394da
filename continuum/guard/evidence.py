"""The evidence that a verdict carries: all that it was decided by, so that anyone can decide it again and comes to the same bit.

Every score is kept at full precision, of every item; what follows from them can be recomputed (`guard/replay.py`). The
fingerprint covers all that decides, and no id, time or version: two runs that measured the same have the same one.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import Enum
from hashlib import sha256
from importlib.metadata import version
from statistics import fmean
from typing import TYPE_CHECKING, Any

from continuum.guard.baseline import PRODUCTION
from continuum.guard.kept_pairs import Row, item_rows, losses_of, pair_rows, worst_numbers
from continuum.guard.pairs import Arm, Pairs
from continuum.judging.measures import ACTION_MATCH, Measures
from continuum.policy import GuardPolicy
from continuum.provenance.revisions import base_revision
from continuum.records import Checkpoint, Interval, Message, Verdict
from continuum.splits.golden import GoldenDataset, GoldenItem

if TYPE_CHECKING:
    from continuum.guard.alignment import Alignment
    from continuum.guard.capability import Capability
    from continuum.guard.decision import Check, Rule
    from continuum.guard.ruling import Ruling
    from continuum.store.golden_uses import GoldenUse

WORST_SHOWN = 3
TEXT_SHOWN = 600
"""Characters of a question or an answer that a verdict keeps."""
LIBRARIES = ("continuum-ai", "numpy", "scipy")
NOT_DECIDING = frozenset({"versions", "notes", "words", "failed_checks", "left_open", "fingerprint"})
"""What the fingerprint does not cover, wherever it stands: all else that decides, and the words follow from it."""
NAMES = ("id", "model", "base_model")
"""What the two models are called; the fingerprint covers their files instead."""
CONFIGURED = ("resolution", "require_significance", "p_value_threshold", "on_inconclusive", "inconclusive_traffic")
CONFIGURED_SINCE = ("slice_resolution", "slice_minimum", "capability", "alignment", "max_violation_rate", "ledger")


@dataclass(frozen=True)
class Loss:
    """Mean negative log-likelihood of the references, in nats a token."""

    candidate: float
    baseline: float | None
    """None for production, whose probabilities nobody sees."""
    base: float
    """The base without an adapter."""
    items: int
    documents: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """`candidate`, `baseline` and `base` to the loss on each reference: what the means are of."""

    @classmethod
    def of(cls, candidate: Sequence[float], baseline: Sequence[float] | None, base: Sequence[float]) -> "Loss":
        """The means of the losses on the same references."""
        documents = {"candidate": list(candidate), "base": list(base)}
        documents |= {} if baseline is None else {"baseline": list(baseline)}
        means = {name: fmean(values) for name, values in documents.items()}
        return cls(means["candidate"], means.get("baseline"), means["base"], len(candidate), documents)


def evidence_of(
    *,
    golden: GoldenDataset,
    items: Sequence[GoldenItem],
    measures: Measures,
    baseline: Arm,
    candidate: Arm,
    model: Checkpoint,
    champion: Checkpoint | None,
    config: GuardPolicy,
    pairs: Sequence[Pairs],
    rule: "Rule",
    checks: "Sequence[Check]",
    ruling: "Ruling",
    known: Sequence[int],
    people: Mapping[str, Sequence[float | None]],
    use: "GoldenUse | None",
    earlier: "Sequence[GoldenUse]",
    loss: Loss | None,
    capability: "Capability | None",
    alignment: "Alignment | None",
    notes: Sequence[str],
    seeds: Mapping[str, int],
) -> dict[str, Any]:
    """Everything a reader needs to check the verdict, in plain JSON.

    Nothing has a default, for what was forgotten would look like what was not measured.

    Args:
        golden: the golden dataset.
        items: those of its items that were asked, in the order of the arms' answers.
        measures: what was scored, and by whom.
        baseline: the baseline's answers and scores.
        candidate: the candidate's.
        model: the candidate's checkpoint.
        champion: the baseline's checkpoint; None for production.
        config: what was asked of the guard.
        pairs: what `checks` were decided on, all of them and in that order.
        rule: what they were decided by.
        checks: what was decided, by `decide(pairs, rule)`.
        ruling: what they mean together.
        known: positions of the items that arrived before the champion was trained.
        people: metric to candidate minus baseline by people, -1 to 1, for each item; a metric that nobody was asked about is not
            in it.
        use: the how-manieth candidate on these questions it is; None without a ledger.
        earlier: the uses that looked at the same questions; those after `use` are left out.
        loss: on the references; None where no probabilities are seen.
        capability: what the model could do before, and can now; None where that is not asked.
        alignment: the constraints that were tried; None where none were.
        notes: what a reader has to keep in mind.
        seeds: of all that was drawn or shuffled, by what it was for.
    """
    rows = item_rows(items, baseline, candidate, tuple(candidate.scores), known=known, people=people)
    evidence = {
        "golden": {
            "name": golden.name,
            "fingerprint": golden.fingerprint,
            "version": golden.version,
            "part": golden.part,
            "items": len(items),
            "of": len(golden),
            "groups": len({item.group for item in items}),
        },
        "candidate": {
            "model": candidate.name, "id": candidate.id, "base_model": model.base_model,
            "base": base_revision(model.base_model), "files": model.manifest,
        },
        "baseline": {"model": baseline.name, "id": baseline.id, "files": champion.manifest if champion else {}},
        "judge": {
            "name": measures.judge_name,
            "version": measures.judge.version if measures.judge and measures.judge_name else None,
            "rubric": measures.rubric,
        },
        "rule": rule_evidence(config, rule),
        "metrics": {check.metric: metric_evidence(check) for check in checks},
        "gates": plain_json(ruling.gates),
        "false_block": false_block(ruling),
        "ledger": ledger_evidence(use, earlier, rule),
        "capability": None if capability is None else plain_json(capability.evidence()),
        "alignment": None if alignment is None else plain_json(alignment.evidence()),
        "audit": audit_evidence(pairs),
        "false_approval_rate": false_approval_rate(checks),
        "worst": worst_items(items, rows, baseline, candidate),
        "items": rows,
        "pairs": pair_rows(pairs, rows, config.slice_minimum),
        "loss": None if loss is None else plain_json(asdict(loss)),
        "notes": [*notes, *reading_notes(items, baseline, measures, checks, config)],
        "seeds": {"training": model.config.get("seed"), **seeds},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }  # fmt: skip
    return evidence | {"fingerprint": fingerprint_of(evidence)}


def verdict_of(
    checks: "Sequence[Check]",
    ruling: "Ruling",
    evidence: dict[str, Any],
    *,
    task: str,
    **own: Any,
) -> Verdict:
    """The verdict that these checks and their ruling make, with its evidence.

    Args:
        checks: what was decided on each metric.
        ruling: what it means for deployment.
        evidence: of `evidence_of`; it says what was compared.
        task: whose models they are.
        **own: what a verdict has of its own, such as an id and a time; None for new ones.
    """
    compared = {check.metric: check.comparison for check in checks if check.comparison is not None}
    return Verdict(
        task=task,
        checkpoint_id=evidence["candidate"]["id"],
        baseline=evidence["baseline"]["id"],
        golden_id=evidence["golden"]["fingerprint"],
        status=ruling.status,
        approved=ruling.approved,
        deltas={metric: found.delta for metric, found in compared.items()},
        intervals={metric: Interval(low=found.low, high=found.high) for metric, found in compared.items()},
        p_values={metric: found.p_regressed for metric, found in compared.items()},
        failed_checks=ruling.failed_checks,
        required_examples=ruling.required_examples,
        max_traffic=ruling.max_traffic,
        evidence=evidence,
        **own,
    )


def fingerprint_of(evidence: Mapping[str, Any]) -> str:
    """The sha256 of the canonical JSON of all that decides; the two models stand in it by their files, not by their names."""
    models = {evidence[arm][name]: arm for arm in ("baseline", "candidate") for name in NAMES if name in evidence[arm]}

    def unnamed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: unnamed(inner) for name, inner in value.items() if name not in NOT_DECIDING}
        if isinstance(value, list | tuple):
            return [unnamed(inner) for inner in value]
        return models.get(value, value) if isinstance(value, str) else value

    return sha256(json.dumps(unnamed(evidence), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plain_json(value: Any) -> Any:
    """The same as JSON has it: dictionaries, lists, words, numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain_json(inner) for name, inner in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Sequence | set | frozenset):
        return [plain_json(inner) for inner in value]
    return value


def rule_evidence(config: GuardPolicy, rule: "Rule") -> dict[str, Any]:
    """What was asked for, and the numbers that the checks were decided by."""
    asked = config.model_dump(mode="json", include={*CONFIGURED, *CONFIGURED_SINCE})
    return asked | plain_json(rule)


def metric_evidence(check: "Check") -> dict[str, Any]:
    """One check with all its numbers."""
    own = {each.name: getattr(check, each.name) for each in fields(check) if each.name not in {"metric", "comparison"}}
    compared = asdict(check.comparison) if check.comparison else {}
    return plain_json(compared | own | {"reported": getattr(check, "reported", False)})


def false_approval_rate(checks: "Sequence[Check]") -> float | None:
    """The largest chance, of any check, that a rule which only blocks lets a worse model pass; None where nothing is known."""
    return max((check.false_approval_rate for check in checks if check.false_approval_rate is not None), default=None)


def false_block(ruling: "Ruling") -> dict[str, Any]:
    """How often a model exactly at its limits is blocked, by all gates together, and that in words."""
    return {"rate": ruling.false_block_rate, "words": ruling.words}


def ledger_evidence(use: "GoldenUse | None", earlier: "Sequence[GoldenUse]", rule: "Rule") -> dict[str, Any] | None:
    """Which try it is on these questions, the level an approval is tested at for that, and the golden sets that count."""
    if use is None:
        return None
    sets = dict.fromkeys(one.golden_id for one in earlier if one.sequence <= use.sequence)
    return {"position": use.position, "alpha": rule.approval_alpha, "sets": list(sets)}


def audit_evidence(pairs: Sequence[Pairs]) -> dict[str, Any] | None:
    """Of how many pairs of each check people said what they think of both answers; None where nobody was asked."""
    asked = {pair.metric: sum(one is not None for one in pair.people) for pair in pairs if pair.people}
    return {"labelled": asked} if any(asked.values()) else None


def worst_items(items: Sequence[GoldenItem], rows: Sequence[Row], baseline: Arm, candidate: Arm) -> list[dict[str, Any]]:
    """The items on which the candidate lost most against the baseline, worst first; none where it lost on none."""
    return [
        worst_numbers(rows[n], delta)
        | {
            "question": clipped(_question(items[n])),
            "baseline_answer": shown_text(baseline.answers[n]),
            "candidate_answer": shown_text(candidate.answers[n]),
            "reference": shown_text(items[n].reference),
        }
        for delta, n in losses_of(rows)[:WORST_SHOWN]
    ]


def reading_notes(
    items: Sequence[GoldenItem], baseline: Arm, measures: Measures, checks: "Sequence[Check]", config: GuardPolicy
) -> list[str]:
    """What a reader must know to read the numbers rightly, in plain words."""
    notes = []
    own = sum(is_own_reference(item) for item in items)
    if baseline.id == PRODUCTION and ACTION_MATCH in measures.metrics and own:
        notes.append(
            f"on {own} of {len(items)} items the reference is production's own answer, kept because a person approved it: "
            "there production matches by construction, and the candidate can tie but never win; "
            "this is a comparison with production at its best, not at its average"
        )
    if not config.require_significance:
        notes.append(
            "blocking was on the bare difference, without a test: an equal model is blocked by chance, up to half of the time on "
            "each metric"
        )
    missed = false_approval_rate(checks)
    if config.on_inconclusive == "approve" and missed is not None:
        notes.append(
            f"an undecided candidate counts as approved here: one truly {config.resolution:.2f} worse than allowed would be let "
            f"through about {missed * 100:.0f} times in 100"
        )
    return notes


def is_own_reference(item: GoldenItem) -> bool:
    """Whether production's answer is the reference it is compared with."""
    return item.reference is not None and item.production is not None and item.reference.action == item.production.action


def shown_text(message: Message | None) -> str | None:
    """The words of an answer as far as a verdict keeps them, safe for any database."""
    return None if message is None else clipped(message.action)


def clipped(text: str) -> str:
    """Text without what JSON columns cannot hold, and not longer than a verdict keeps."""
    cleaned = clean(text)
    return cleaned if len(cleaned) <= TEXT_SHOWN else cleaned[:TEXT_SHOWN] + "…"


def clean(text: str) -> str:
    """Text without what JSON columns cannot hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _question(item: GoldenItem) -> str:
    return next((message.text for message in reversed(item.messages) if message.role == "user" and message.text), "")
