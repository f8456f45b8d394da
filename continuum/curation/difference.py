"""What changed from one dataset version to another: who joined, who left, who is another now, and what that did to the whole."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.splits.golden import GoldenDataset

if TYPE_CHECKING:
    from continuum.store.database import Store

Version = Dataset | GoldenDataset
DECIMALS = 4


@dataclass(frozen=True)
class Summary:
    """One of the two versions. Scores are 1 to 5, shares 0 to 1; None where a golden dataset has no such thing."""

    name: str
    fingerprint: str
    rows: int
    mean_score: float | None
    coverage: float | None


@dataclass(frozen=True)
class Changed:
    """An interaction that is in both versions, and what of it is not the same."""

    interaction_id: str
    fields: dict[str, tuple[Any, Any]]
    """Field to what it was and what it is; answers and questions by their words."""


@dataclass(frozen=True)
class Difference:
    """What changed from `before` to `after`."""

    task: str
    before: Summary
    after: Summary
    joined: tuple[str, ...]
    """Interaction ids, sorted, as are those below."""
    left: tuple[str, ...]
    changed: tuple[Changed, ...]
    kept: int
    """In both, whether changed or not."""
    overlap: float
    """Of the interactions that are in either, the share that is in both; 1 for two empty versions."""
    classes: dict[str, tuple[int, int]] | None
    """Intent or cluster to its rows before and after; None where the two cannot be compared."""
    classes_because: str
    """By what the classes go, or why there are none."""
    config: dict[str, tuple[Any, Any]]
    """Setting to what it was and what it is; only those that changed."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def words(self) -> str:
        """The difference in one line."""
        return (
            f"{self.before.name} -> {self.after.name}: {len(self.joined)} joined, {len(self.left)} left, {len(self.changed)} "
            f"changed, {self.kept - len(self.changed)} are the same; {self.overlap:.0%} of all are in both"
        )


def load_version(store: "Store", name: str) -> Version:
    """A version by its name or fingerprint; the newest training set by the name of a task.

    Raises:
        ConfigurationError: there is none; the message says which there are.
        StoreError: its files are gone or damaged.
    """
    record = store.datasets.get(name) or store.datasets.latest(name)
    if record is None:
        known = [one.name for one in store.datasets.versions()]
        told = ", ".join(known[-10:]) or "none: continuum curate TASK builds the first"
        raise ConfigurationError(f"there is no dataset {name!r}; the newest there are: {told}")
    return GoldenDataset.of(record) if record.kind == "golden" else Dataset.read(record.uri)


def difference(before: Version, after: Version) -> Difference:
    """Compare two versions of one task.

    Raises:
        ConfigurationError: they are of different tasks, or one is golden and the other is not.
    """
    if before.task != after.task:
        raise ConfigurationError(
            f"{before.name!r} is of task {before.task!r} and {after.name!r} of {after.task!r}; compare versions of one task"
        )
    if isinstance(before, GoldenDataset) != isinstance(after, GoldenDataset):
        raise ConfigurationError(
            f"one of {before.name!r} and {after.name!r} is golden and the other is for training; they hold nothing in common: "
            "compare two of one kind"
        )
    old, new = _rows(before), _rows(after)
    both = sorted(old.keys() & new.keys())
    classes, because = _classes(before, after)
    return Difference(
        task=before.task,
        before=_summary(before),
        after=_summary(after),
        joined=tuple(sorted(new.keys() - old.keys())),
        left=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(Changed(one, _unequal(old[one], new[one])) for one in both if old[one] != new[one]),
        kept=len(both),
        overlap=round(len(both) / len(old.keys() | new.keys()), DECIMALS) if old or new else 1.0,
        classes=classes,
        classes_because=because,
        config=_unequal(_settings(before), _settings(after)),
    )


def _summary(version: Version) -> Summary:
    trains = isinstance(version, Dataset)
    return Summary(
        name=version.name,
        fingerprint=version.fingerprint,
        rows=len(version),
        mean_score=round(version.avg_score, DECIMALS) if trains else None,
        coverage=version.manifest.get("intent_coverage") if trains else None,
    )


def _rows(version: Version) -> dict[str, dict[str, Any]]:
    """Interaction id to what counts of its row."""
    if isinstance(version, GoldenDataset):
        return {
            item.interaction_id: {
                "question": [message.to_openai() for message in item.messages],
                "answer": item.reference and item.reference.to_openai(),
                "slice": item.slice,
            }
            for item in version
        }
    return {
        example.interaction_id: {
            "question": [message.to_openai() for message in example.messages],
            "answer": example.response.to_openai(),
            "score": example.score,
            "score_source": example.score_source,
            "split": example.split,
            "generation": example.generation,
            "intent": example.intent,
        }
        for example in version
    }


def _unequal(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*old, *new])
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _settings(version: Version) -> dict[str, Any]:
    """The configuration, one level deep; what a control adds to that of its version is left out."""
    config = version.manifest.get("splits" if isinstance(version, GoldenDataset) else "config", {})
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= {f"{name}.{inner}": one for inner, one in value.items()} if isinstance(value, dict) else {name: value}
    flat.pop("control_of", None)
    return flat


def _classes(before: Version, after: Version) -> tuple[dict[str, tuple[int, int]] | None, str]:
    if isinstance(before, GoldenDataset) and isinstance(after, GoldenDataset):
        counts = [Counter(item.slice for item in version if item.slice is not None) for version in (before, after)]
        return _paired(*counts), "by their slices"
    versions = [version for version in (before, after) if isinstance(version, Dataset)]
    reports = [version.manifest.get("coverage", {}) for version in versions]
    kinds = [report.get("by") for report in reports]
    if kinds == ["intent", "intent"]:
        counts = [Counter(one.intent for one in version if one.intent is not None) for version in versions]
        return _paired(*counts), "by the intents that the application names"
    centroids = [report.get("frozen") for report in reports]
    if kinds == ["cluster", "cluster"] and centroids[0] and centroids[0] == centroids[1]:
        counts = [Counter(str(one.cluster) for one in version) for version in versions]
        return _paired(*counts), "by clusters, which both versions share"
    return None, "their classes cannot be compared: the clusters were fitted anew, or one goes by intents and the other does not"


def _paired(old: Counter[Any], new: Counter[Any]) -> dict[str, tuple[int, int]]:
    names = sorted(old.keys() | new.keys(), key=lambda name: (-max(old[name], new[name]), str(name)))
    return {str(name): (old[name], new[name]) for name in names}
