"""What of a task's traffic could be measured, and what is known of it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from continuum.policy import TaskPolicy
from continuum.provenance.generations import generation_of, read_lineage
from continuum.records import Interaction, Message
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.golden_items import GoldenItem, texts_of
from continuum.splits.ratings import HumanRating, human_rating, reference_answer
from continuum.splits.sides import Sides, unit_hash
from continuum.spool.cleaning import clean_text, is_storable

if TYPE_CHECKING:
    from continuum.store.database import Store


def has_judge(store: "Store", policy: TaskPolicy) -> bool:
    """Whether a question without a reference can be measured."""
    return policy.judge.model is not None or store.annotations.count(policy.task) > 0


def candidates(
    store: "Store", policy: TaskPolicy, held: Iterable[Interaction], sides: Sides, before: Mapping[str, GoldenItem]
) -> list[GoldenItem]:
    """All answered questions; without a judge only those with a reference can be measured.

    Args:
        store: where people's word is.
        policy: the task's.
        held: the interactions of the golden side.
        sides: say which group each is in.
        before: the items of the newest version by id: a question keeps the lot it was given.
    """
    answered = [cleaned(one) for one in held if one.status == "ok" and one.messages and one.response and is_storable(one.id)]
    feedback = store.feedback.of(answered)
    raters, line = store.raters.of(policy.task), read_lineage(store, policy.task)
    items: list[GoldenItem] = []
    for interaction in answered:
        rating = human_rating(feedback.get(interaction.id, []), raters)
        known = before.get(interaction.id)
        # What a canary answered is a candidate's word, and what a champion did is its own: neither is production's.
        own = interaction.variant == "canary" or generation_of(interaction, line) > 0
        said = None if own else interaction.response
        items.append(_item(interaction, said, rating, sides.group[interaction.id], known, policy.curation.intent_tag))
    return items


def cleaned(interaction: Interaction) -> Interaction:
    """The interaction as capture would have left it: SQLite takes NUL from whoever writes past it, and a golden item does not."""
    if all(map(is_storable, texts_of(interaction))):
        return interaction
    return Interaction.model_validate(_clean(interaction.model_dump()))


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {clean_text(name): _clean(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(one) for one in value]
    return clean_text(value) if isinstance(value, str) else value


def _item(
    interaction: Interaction, production: Message | None, rating: HumanRating, group: str, known: GoldenItem | None, tag: str
) -> GoldenItem:
    return GoldenItem(
        interaction_id=interaction.id,
        messages=interaction.messages,
        reference=reference_answer(interaction, rating),
        production=production,
        group=group,
        lot=known.lot or known.group if known else group,
        slice=interaction.tags.get(tag) or None,
        asked_at=interaction.started_at,
        confirmed=bool(rating.opinions) or rating.correction is not None,
    )


def distinct(items: Iterable[GoldenItem], salt: str) -> list[GoldenItem]:
    """One item a context, for the same question twice is one observation: one with a reference, then in hash order."""

    def rank(item: GoldenItem) -> tuple[bool, float, str]:
        return item.reference is None, unit_hash(salt, item.interaction_id), item.interaction_id

    found: dict[str, GoldenItem] = {}
    for item in sorted(items, key=rank):
        found.setdefault(context_fingerprint(item.messages), item)
    return list(found.values())
