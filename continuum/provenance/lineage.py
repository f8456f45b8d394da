"""Where a thing came from, back to the interactions; and where an interaction went, on to what serves.

deployment -> verdict -> golden dataset -> interactions
           -> checkpoint -> dataset -> interactions
                         -> the checkpoint it was continued from -> ...
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, StoreError
from continuum.records import Checkpoint, DatasetRecord, Feedback, Interaction, Verdict
from continuum.serving_records import DeploymentRecord
from continuum.splits.golden_items import OWN
from continuum.splits.ratings import human_rating

if TYPE_CHECKING:
    from continuum.store.database import Store

Kind = Literal["deployment", "verdict", "checkpoint", "dataset", "golden dataset", "interaction"]


@dataclass(frozen=True)
class Lineage:
    """One thing, and what it is linked to: what it came from, or for an interaction what came of it."""

    kind: Kind
    id: str
    name: str
    relation: str = ""
    """What it is to the thing above it, such as `trained on`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    links: "tuple[Lineage, ...]" = ()

    def interaction_ids(self) -> tuple[str, ...]:
        """Ids of all interactions in the tree, each once, in the order they are met."""
        return tuple(dict.fromkeys(node.id for node in self.walk() if node.kind == "interaction"))

    def walk(self) -> "Iterator[Lineage]":
        """This thing and everything below it, depth first."""
        yield self
        for link in self.links:
            yield from link.walk()

    def render(self) -> list[str]:
        """The tree as lines of text; a branch that was shown before is named and not repeated."""
        return list(self._lines(0, set()))

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain JSON."""
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "relation": self.relation,
            "details": dict(self.details),
            "links": [link.to_dict() for link in self.links],
        }

    def _lines(self, depth: int, shown: set[tuple[str, str]]) -> Iterator[str]:
        named = self.name if self.name == self.id else f"{self.name} ({self.id})"
        facts = ", ".join(f"{name} {_plain(value)}" for name, value in self.details.items() if value not in (None, ""))
        repeated = bool(self.links) and (self.kind, self.id) in shown
        line = "  " * depth + (f"{self.relation}: " if self.relation else "") + f"{self.kind} {named}"
        yield line + (f": {facts}" if facts else "") + ("; shown above" if repeated else "")
        shown.add((self.kind, self.id))
        if not repeated:
            for link in self.links:
                yield from link._lines(depth + 1, shown)


def _plain(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def lineage(store: "Store", id: str) -> Lineage:
    """Trace one thing.

    Args:
        store: where everything is recorded.
        id: of a deployment, verdict, checkpoint (or its name), dataset (fingerprint or name) or interaction. All but an
            interaction are traced back to what they came from; an interaction is traced on to what learned from it.

    Raises:
        ConfigurationError: the store knows nothing of this id.
    """
    if deployment := store.deployments.get(id):
        return _of_deployment(store, deployment)
    if verdict := store.verdicts.get(id):
        return _of_verdict(store, verdict)
    if checkpoint := store.checkpoints.get(id):
        return _of_checkpoint(store, checkpoint)
    if dataset := store.datasets.get(id):
        return _of_dataset(store, dataset)
    if interaction := store.interactions.get(id):
        return _from_interaction(store, interaction)
    raise ConfigurationError(
        f"the store knows nothing of {id!r}; give the id of a deployment, verdict or interaction, "
        "or the id or name of a checkpoint or dataset"
    )


def trained_ids(store: "Store", model: Checkpoint) -> set[str]:
    """Ids of the interactions that a checkpoint, or one it was continued from, was trained on."""
    found: set[str] = set()
    line: Checkpoint | None = model
    while line is not None:
        found |= {item.interaction_id for item in store.datasets.items(line.dataset_id) if item.split == "train"}
        parent = store.checkpoints.get(line.parent_id) if line.parent_id else None
        # Versions only grow along a line, so this ends even if a row names a wrong parent.
        line = parent if parent is not None and parent.version < line.version else None
    return found


# --- back to the interactions ------------------------------------------------------------------------------------


def _of_deployment(store: "Store", deployment: DeploymentRecord) -> Lineage:
    links = []
    if deployment.verdict_id and (verdict := store.verdicts.get(deployment.verdict_id)):
        links.append(_of_verdict(store, verdict, "allowed by", with_checkpoint=False))
    if checkpoint := store.checkpoints.get(deployment.checkpoint_id):
        links.append(_of_checkpoint(store, checkpoint, "serves"))
    return _node_of_deployment(deployment, links)


def _of_verdict(store: "Store", verdict: Verdict, relation: str = "", *, with_checkpoint: bool = True) -> Lineage:
    links = []
    if golden := store.datasets.get(verdict.golden_id):
        links.append(_of_dataset(store, golden, "judged on"))
    if with_checkpoint and (checkpoint := store.checkpoints.get(verdict.checkpoint_id)):
        links.append(_of_checkpoint(store, checkpoint, "judged"))
    details = {"status": verdict.status.value, "approved": verdict.approved, "baseline": verdict.baseline}
    return Lineage("verdict", verdict.id, verdict.id, relation, details, tuple(links))


def _of_checkpoint(store: "Store", checkpoint: Checkpoint, relation: str = "") -> Lineage:
    links = []
    if dataset := store.datasets.get(checkpoint.dataset_id):
        links.append(_of_dataset(store, dataset, "trained on"))
    parent = store.checkpoints.get(checkpoint.parent_id) if checkpoint.parent_id else None
    # Versions only grow along a line, so this ends even if a row names a wrong parent.
    if parent is not None and parent.version < checkpoint.version:
        links.append(_of_checkpoint(store, parent, "continued from"))
    return _node_of_checkpoint(store, checkpoint, relation, links)


def _of_dataset(store: "Store", dataset: DatasetRecord, relation: str = "") -> Lineage:
    items = store.datasets.items(dataset.id)
    present = store.interactions.get_many(item.interaction_id for item in items)
    feedback = store.feedback.of(present.values())
    duplicates = _duplicates(dataset)
    links = tuple(
        Lineage(
            "interaction",
            item.interaction_id,
            item.interaction_id,
            item.split,
            {
                "score": item.score,
                "feedback": len(feedback.get(item.interaction_id, ())),
                **_said(feedback.get(item.interaction_id, ())),
                "duplicates": len(duplicates.get(item.interaction_id, ())),
                "model": present[item.interaction_id].model if item.interaction_id in present else None,
                "state": _state(item.interaction_id, present),
            },
        )
        for item in items
    )
    return _node_of_dataset(dataset, relation, links)


def _said(feedback: Sequence[Feedback]) -> dict[str, str | None]:
    """What people make of an answer, in words: the one that is a complaint is found by them."""
    rating = human_rating(feedback)
    score = None if rating.score is None else f"{rating.score:.2g} of 5"
    return {"rated": score, "corrected": "by a person" if rating.correction else None}


def _state(id: str, present: Container[str]) -> str:
    """What to know of a member beside its row; nothing stands behind a question that somebody brought, so nothing is lost."""
    if id in present:
        return ""
    return "own question, not from traffic" if id.startswith(OWN) else "no longer in the store"


def _duplicates(dataset: DatasetRecord) -> dict[str, tuple[str, ...]]:
    """Interaction id to the ids it stands for; empty when the rows are gone."""
    if dataset.kind != "training":
        return {}
    try:
        return {example.interaction_id: example.duplicates for example in Dataset.read(dataset.uri)}
    except StoreError:
        return {}


# --- on to what serves -------------------------------------------------------------------------------------------


def _from_interaction(store: "Store", interaction: Interaction) -> Lineage:
    said = store.feedback.of([interaction]).get(interaction.id, [])
    holding = store.datasets.holding(interaction.id)
    details = {"task": interaction.task, "model": interaction.model, "feedback": len(said), **_said(said)}
    details |= {"datasets": len(holding)}
    checkpoints = store.checkpoints.of(interaction.task)
    deployments = store.deployments.of(interaction.task)
    links = []
    for dataset in holding:
        learned = [checkpoint for checkpoint in checkpoints if checkpoint.dataset_id == dataset.id]
        below = tuple(_onwards(store, checkpoint, "trained", checkpoints, deployments) for checkpoint in learned)
        links.append(_node_of_dataset(dataset, "in", below))
    return Lineage("interaction", interaction.id, interaction.id, "", details, tuple(links))


def _onwards(
    store: "Store", checkpoint: Checkpoint, relation: str, checkpoints: list[Checkpoint], deployments: list[DeploymentRecord]
) -> Lineage:
    serving = [_node_of_deployment(found, (), "served as") for found in deployments if found.checkpoint_id == checkpoint.id]
    later = [found for found in checkpoints if found.parent_id == checkpoint.id and found.version > checkpoint.version]
    continued = [_onwards(store, found, "continued as", checkpoints, deployments) for found in later]
    return _node_of_checkpoint(store, checkpoint, relation, [*serving, *continued])


# --- one thing each ----------------------------------------------------------------------------------------------


def _node_of_deployment(deployment: DeploymentRecord, links: Iterable[Lineage], relation: str = "") -> Lineage:
    details = {
        "task": deployment.task,
        "state": deployment.state.value,
        "traffic": f"{deployment.traffic:.0%}",
        "shadow": f"{deployment.shadow:.0%}" if deployment.shadow else None,
        "verdict": None if deployment.verdict_id else "none, deployed unguarded",
    }
    return Lineage("deployment", deployment.id, deployment.model, relation, details, tuple(links))


def _node_of_checkpoint(store: "Store", checkpoint: Checkpoint, relation: str, links: Iterable[Lineage]) -> Lineage:
    verdict = store.verdicts.latest(checkpoint.id)
    details = {
        "base": checkpoint.base_model,
        "generation": checkpoint.generation,
        "verdict": verdict.status.value if verdict else None,
        "mlflow_run": checkpoint.mlflow_run_id,
    }
    return Lineage("checkpoint", checkpoint.id, checkpoint.name, relation, details, tuple(links))


def _node_of_dataset(dataset: DatasetRecord, relation: str, links: Iterable[Lineage]) -> Lineage:
    kind: Kind = "golden dataset" if dataset.kind == "golden" else "dataset"
    details = {"version": dataset.version, "task": dataset.task}
    return Lineage(kind, dataset.id, dataset.name, relation, details, tuple(links))
