"""Removal of duplicates, best-first: of what teaches the same, the best-rated example stays and remembers the others.

Two examples teach the same when the last messages of the question and the answer are both nearly the same text, no number,
negation or content word differs, the answer acts the same and the verdicts are within a point. So a good and a bad answer to
one question both stay, and so do two verdicts on one answer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from continuum.curation.quality import Rated
from continuum.embedding.embedder import Embedder
from continuum.records import Example, Message
from continuum.similarity.minhash import Sketch, signatures
from continuum.similarity.near import Answered, Replaced, facts, keepers, same_verdict
from continuum.similarity.normalise import canonical, prompt_tail
from continuum.similarity.words import AllInUse

AT_ONCE = 256
"""Examples whose meaning is compared with all that stay at once."""


@dataclass(frozen=True)
class SemanticRule:
    """Removes what means the same in other words; redundancy of meaning is the selection's work, so this is off by default."""

    embedder: Embedder
    threshold: float
    """Cosine, 0 to 1, that both question and answer must reach. It says something of this one embedder only."""


@dataclass(frozen=True, slots=True)
class Removed:
    """One example that gave way, and why."""

    interaction_id: str
    kept_id: str
    """The example that stays for it."""
    why: Literal["exact", "near", "meaning"]
    prompt_similarity: float
    """Of the last messages of the question, 0 to 1: the share of characters that agree; a cosine where `why` is `meaning`."""
    response_similarity: float
    language: str
    """The language whose small words were known when they were compared; `other` where every word counted instead, and
    empty where only the meaning was compared."""


@dataclass(frozen=True)
class Distinct:
    """What stayed, best first, what each of it stands for, and the evidence."""

    kept: list[Rated]
    replaces: dict[str, tuple[str, ...]]
    """Interaction id of a kept example to the sorted ids it replaces."""
    removed: tuple[Removed, ...] = ()
    """Sorted by interaction id."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """Language to how many of the candidates are in it."""
    crowded: int = 0
    """Texts that had more look-alikes than could be compared; their nearest in spelling were."""
    too_long: int = 0
    """Pairs that differ over more characters than are compared; both stayed."""
    encoder: str | None = None
    """The id of the embedder by which meaning was compared; None where it was not."""

    @property
    def exact(self) -> int:
        """Removed because question and answer were the same text."""
        return self._count("exact")

    @property
    def near(self) -> int:
        """Removed because they were nearly."""
        return self._count("near")

    @property
    def meaning(self) -> int:
        """Removed because they meant the same in other words."""
        return self._count("meaning")

    @property
    def fallback(self) -> int:
        """Candidates in a language whose small words are not known, or too short to tell: compared more strictly."""
        return self.languages.get("other", 0)

    def _count(self, why: str) -> int:
        return sum(one.why == why for one in self.removed)


def remove_duplicates(
    rated: Sequence[Rated], threshold: float, semantic: SemanticRule | None = None, *, sketch: Sketch = signatures
) -> Distinct:
    """Keep one of each; the order of the input does not matter.

    Args:
        rated: the candidates.
        threshold: character similarity, 0 to 1, of both question and answer from which two are near-duplicates; at least 0.95
            is asked in a language whose small words are not known.
        semantic: also removes what means the same; None leaves it.
        sketch: makes the MinHash signatures of texts, here or on other machines.
    """
    ordered = sorted(rated, key=lambda one: one.preference)
    items = [_compared(one) for one in ordered]
    stars = keepers(items, threshold, sketch)
    replaced: dict[int, tuple[Literal["exact", "near", "meaning"], Replaced]] = {
        position: ("exact" if why.exact else "near", why) for position, why in stars.replaced.items()
    }
    if semantic is not None:
        replaced |= {position: ("meaning", why) for position, why in _same_meaning(items, stars.kept_as, semantic).items()}
    ids = [one.interaction.id for one in ordered]
    stands_for: dict[str, list[str]] = {ids[position]: [] for position in range(len(ids)) if position not in replaced}
    for position, (_, why) in replaced.items():
        stands_for[ids[why.keeper]].append(ids[position])
    removed = [
        Removed(ids[position], ids[why.keeper], reason, why.prompt_similarity, why.response_similarity, why.language)
        for position, (reason, why) in replaced.items()
    ]
    return Distinct(
        kept=[ordered[position] for position in range(len(ids)) if position not in replaced],
        replaces={keeper: tuple(sorted(others)) for keeper, others in stands_for.items()},
        removed=tuple(sorted(removed, key=lambda one: one.interaction_id)),
        languages=stars.languages,
        crowded=stars.crowded,
        too_long=stars.too_long,
        encoder=semantic.embedder.id if semantic else None,
    )


def still_alike(examples: Sequence[Example], threshold: float) -> list[tuple[str, str]]:
    """Pairs of interaction ids, the one that should have given way last, of examples that teach the same.

    Which misspelt words are forgiven depends on what else people write, and a version does not hold all of that: here none
    are. Two that are alike by this are alike by the rule that removes duplicates, of whatever candidates.

    Args:
        examples: of one dataset version.
        threshold: that of the removal.
    """
    ordered = sorted(examples, key=lambda one: (-one.score, one.interaction_id))
    items = [_answered(one.messages, one.response, one.score) for one in ordered]
    found = keepers(items, threshold, usage=AllInUse())
    ids = [one.interaction_id for one in ordered]
    return [(ids[why.keeper], ids[position]) for position, why in sorted(found.replaced.items())]


def _compared(one: Rated) -> Answered:
    return _answered(one.interaction.messages, one.response, one.score)


def _answered(messages: Sequence[Message], response: Message, score: float) -> Answered:
    return Answered(prompt=prompt_tail(messages), response=canonical(response.action), action=_action(response), score=score)


def _action(response: Message) -> str:
    """The calls of an answer as they are: an id or a path in other letters is another action."""
    calls = [(call.function.name, _arguments(call.function.arguments)) for call in response.tool_calls or ()]
    return json.dumps(calls, sort_keys=True) if calls else ""


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _same_meaning(items: Sequence[Answered], kept_as: Sequence[int], rule: SemanticRule) -> dict[int, Replaced]:
    """What gives way because it means the same as a better example that stays; what stood behind it changes its keeper.

    An example gives way with all that it stands for or not at all, so that whatever stays is near enough to all behind it.
    """
    prompts = rule.embedder.embed([item.prompt for item in items])
    responses = rule.embedder.embed([item.response for item in items])
    behind: dict[int, list[int]] = {}
    blocks: dict[object, list[int]] = {}
    for position, keeper in enumerate(kept_as):
        behind.setdefault(keeper, []).append(position)
        if keeper == position:
            blocks.setdefault(facts(items[position]), []).append(position)
    found: dict[int, Replaced] = {}
    for block in blocks.values():
        stay: list[int] = []
        for begin in range(0, len(block), AT_ONCE):
            part = block[begin : begin + AT_ONCE]
            # Those of the part itself are among who may stay for it; a better one always comes first.
            before = stay + part
            near = _near(prompts[part], prompts[before], rule.threshold) & _near(
                responses[part], responses[before], rule.threshold
            )
            for row, position in enumerate(part):
                members = behind[position]
                better = [before[column] for column in np.flatnonzero(near[row]).tolist() if before[column] < position]
                for keeper in (one for one in better if one not in found):
                    why = [_by_meaning(items, prompts, responses, member, keeper, rule.threshold) for member in members]
                    if all(why):
                        found |= {member: one for member, one in zip(members, why, strict=True) if one is not None}
                        break
                else:
                    stay.append(position)
    return found


def _near(rows: np.ndarray, columns: np.ndarray, threshold: float) -> np.ndarray:
    # Rounded, so that the last bit of a dot product, which differs between machines, decides nothing.
    return np.round(rows @ columns.T, 5) >= threshold


def _by_meaning(
    items: Sequence[Answered], prompts: np.ndarray, responses: np.ndarray, position: int, keeper: int, threshold: float
) -> Replaced | None:
    prompt = round(float(prompts[position] @ prompts[keeper]), 5)
    response = round(float(responses[position] @ responses[keeper]), 5)
    if min(prompt, response) < threshold or not same_verdict(items[position].score, items[keeper].score):
        return None
    return Replaced(keeper, False, round(prompt, 4), round(response, 4), "")
