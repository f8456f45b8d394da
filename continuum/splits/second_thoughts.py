"""Where people think otherwise by now: golden items that have another reference, and learned answers that are rejected."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from continuum.records import Example
from continuum.splits.golden_candidates import cleaned
from continuum.splits.golden_items import GoldenItem
from continuum.splits.ratings import human_rating, reference_answer

if TYPE_CHECKING:
    from continuum.store.database import Store


def relabelled(store: "Store", task: str, items: Iterable[GoldenItem]) -> set[str]:
    """Ids of the golden items whose answer to compare with is another by what people say today, or none any more.

    A score that leaves the reference as it is changes nothing that is measured. What somebody brought, and what was erased, has
    nobody's feedback.
    """
    asked = {item.interaction_id: item for item in items if not item.own}
    found = {one: cleaned(interaction) for one, interaction in store.interactions.get_many(asked).items()}
    feedback = store.feedback.of(found.values())
    raters = store.raters.of(task)
    return {
        one
        for one, interaction in found.items()
        if reference_answer(interaction, human_rating(feedback.get(one, []), raters)) != asked[one].reference
    }


def rejected(store: "Store", task: str, examples: Iterable[Example], min_score: float) -> set[str]:
    """Ids of the interactions whose learned answer people score below `min_score` by now, or have corrected to another one.

    Args:
        store: where people's word is.
        task: whose raters they are.
        examples: what was learned; the newest of an interaction counts.
        min_score: 1 to 5, the quality asked of an example.
    """
    learned = {example.interaction_id: example for example in examples}
    found = store.interactions.get_many(learned)
    feedback = store.feedback.of(found.values())
    raters = store.raters.of(task)
    against: set[str] = set()
    for one, said in feedback.items():
        rating = human_rating(said, raters)
        if rating.correction is not None:
            if rating.correction.action != learned[one].response.action:
                against.add(one)
        elif rating.score is not None and rating.score < min_score:
            against.add(one)
    return against
