"""Near-duplicates: MinHash proposes pairs, character similarity and the word guard decide.

Similarity is the Indel ratio of canonical texts: 1 is identical, 0.92 is 8% of the characters changed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from rapidfuzz.distance import Indel
from rapidfuzz.process import cpdist

from continuum.similarity.languages import OTHER, Language, language_of, words_of
from continuum.similarity.minhash import Sketch, candidates, signatures
from continuum.similarity.words import Usage, difference, numbers, same_words, signs, usage_of

STRICTER = 0.95
"""The least similarity in a language whose small words are not known."""
LONGEST = 4000
"""Characters over which two texts may differ, from the first difference to the last."""
HIGHEST_STEP = 1.0
"""Verdicts further apart than this point are two verdicts."""
LANGUAGE_FROM = 600
"""Characters, from the end, by which the language of a text is told."""

COMPARED_AT_ONCE = 50_000
"""Pairs that are compared by spelling in one call."""

_BLOCK = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and its answer as they are compared; all texts canonical."""

    prompt: str
    response: str
    action: str
    """The tool calls of the answer; empty when it is words."""
    score: float


@dataclass(frozen=True, slots=True)
class Replaced:
    """Why an item gave way."""

    keeper: int
    """Position of the item that stays for it."""
    exact: bool
    """Whether question and answer are the same text."""
    prompt_similarity: float
    response_similarity: float
    language: str
    """By whose words they were compared; `other` where every word counted and the similarity had to be stricter."""


@dataclass(frozen=True)
class Stars:
    """Which items stay, and what each replaces."""

    kept_as: list[int]
    """For each item the position of the one that stands for it; its own where it stays."""
    replaced: dict[int, Replaced]
    languages: dict[str, int]
    """How many items are in each language."""
    crowded: int
    """Texts that had more look-alikes than could be compared; their nearest in spelling were."""
    too_long: int
    """Pairs that differ over more characters than are compared; both stayed."""


def same_text(left: str, right: str, threshold: float) -> bool:
    """Whether two canonical texts are near-duplicates: similar to `threshold` or more, and no word of weight differs."""
    if not _may_be_same(left, right, threshold):
        return False
    return _Comparison(threshold).same(left, right, _common_language(_language(left), _language(right))) is not None


def same_verdict(left: float, right: float) -> bool:
    """Whether two scores are at most a point apart."""
    # 4.3 and 3.3 are a point apart for people, and a little more for a computer.
    return round(abs(left - right), 9) <= HIGHEST_STEP


def facts(item: Answered) -> tuple[object, ...]:
    """What must be equal before two examples can mean the same in other words: the action, the numbers, how much is denied."""
    texts = (item.prompt, item.response)
    negations = _language(_joined(item)).negations
    denied = (sum(word in negations for word in words_of(text)) for text in texts)
    return (item.action, *(tuple(sorted(numbers(text))) for text in texts), *denied)


def near_pairs(texts: Sequence[str], threshold: float, *, corpus: Sequence[str] | None = None) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the lower first, whose canonical texts are near-duplicates.

    A text with hundreds of look-alikes is compared with its nearest in spelling only.

    Args:
        texts: canonical.
        threshold: the least similarity.
        corpus: the texts that say which words are in use; None for `texts`, empty where a verdict on a pair must not change
            with what else there is.
    """
    languages = [_language(text) for text in texts]
    comparison = _Comparison(threshold, texts if corpus is None else corpus)
    found = candidates(signatures(texts), texts, _blocks([(numbers(text), signs(text)) for text in texts]))
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    for begin in range(0, len(found), COMPARED_AT_ONCE):
        part = slice(begin, begin + COMPARED_AT_ONCE)
        for first, second in _similar_enough(found.first[part], found.second[part], texts, lengths, threshold):
            if comparison.same(texts[first], texts[second], _common_language(languages[first], languages[second])) is not None:
                yield first, second


def keepers(items: Sequence[Answered], threshold: float, sketch: Sketch = signatures, *, usage: Usage | None = None) -> Stars:
    """Which items stay. Items come best first.

    The best item stays and is itself similar to everything it replaces. Connected components would chain: single linkage
    made one group of 824 different bank queries.

    Args:
        items: what is compared.
        threshold: character similarity of question and answer, 0 to 1.
        sketch: makes the signatures of texts, here or on other machines.
        usage: how many texts use a word; counted in the items where it is left out.
    """
    rows: dict[tuple[str, str, str], list[int]] = {}
    for position, item in enumerate(items):
        rows.setdefault((item.prompt, item.response, item.action), []).append(position)
    groups = list(rows.values())
    firsts = [items[group[0]] for group in groups]
    joined = [_joined(item) for item in firsts]
    languages = [_language(text) for text in joined]
    blocks = _blocks([(numbers(text), signs(text), item.action) for text, item in zip(joined, firsts, strict=True)])
    found = candidates(sketch(joined), joined, blocks)
    neighbours: list[list[int]] = [[] for _ in groups]
    for first, second in zip(found.first.tolist(), found.second.tolist(), strict=True):
        neighbours[first].append(second)
        neighbours[second].append(first)
    comparison = _Comparison(threshold, joined, usage)
    kept_as = list(range(len(items)))
    replaced: dict[int, Replaced] = {}
    text_of = {position: text for text, group in enumerate(groups) for position in group}
    for position, item in enumerate(items):
        if kept_as[position] != position:
            continue
        text = text_of[position]
        for other in (text, *sorted(neighbours[text])):
            near = [row for row in groups[other] if row > position and same_verdict(items[row].score, item.score)]
            if not near:
                continue
            language = _common_language(languages[text], languages[other])
            similarity = comparison.same_pair(item, items[near[0]], language)
            if similarity is None:
                continue
            why = Replaced(position, other == text, *similarity, language.code)
            for row in near:
                kept_as[row] = position
                replaced[row] = why
            groups[other] = [row for row in groups[other] if kept_as[row] == row]
    counted = Counter(languages[text_of[position]].code for position in range(len(items)))
    return Stars(kept_as, replaced, dict(sorted(counted.items())), found.crowded, comparison.too_long)


@dataclass
class _Comparison:
    """Compares texts at a threshold; what was compared once is remembered."""

    threshold: float
    corpus: Sequence[str] = ()
    """The texts that say how often a word is used."""
    known: Usage | None = None
    """The same, counted already."""
    too_long: int = 0
    seen: dict[tuple[str, str, str], float | None] = field(default_factory=dict)

    @cached_property
    def usage(self) -> Usage:
        return usage_of(self.corpus) if self.known is None else self.known

    def same_pair(self, left: Answered, right: Answered, language: Language) -> tuple[float, float] | None:
        """The similarities of the questions and of the answers; None when one of them is another."""
        response = self.same(left.response, right.response, language)
        prompt = None if response is None else self.same(left.prompt, right.prompt, language)
        return None if response is None or prompt is None else (prompt, response)

    def same(self, left: str, right: str, language: Language) -> float | None:
        """The similarity of two near-duplicates, to four digits; None when they are none."""
        if left == right:
            return 1.0
        key = (left, right, language.code) if left < right else (right, left, language.code)
        if key not in self.seen:
            self.seen[key] = self._same(*key[:2], language)
        return self.seen[key]

    def _same(self, left: str, right: str, language: Language) -> float | None:
        least = self.threshold if language.known else max(self.threshold, STRICTER)
        length = len(left) + len(right)
        most = _most_apart(length, least)
        if abs(len(left) - len(right)) > most:
            return None
        ours, theirs = left, right
        if length > LONGEST:
            # What both begin and end with adds nothing to the distance; of short texts it is not worth looking for.
            ours, theirs = difference(left, right)
            if max(len(ours), len(theirs)) > LONGEST:
                self.too_long += 1
                return None
        distance = Indel.distance(ours, theirs, score_cutoff=most)
        if distance > most or not same_words(left, right, language, self.usage):
            return None
        return round(1 - distance / length, 4)


def _most_apart(length: int, least: float) -> int:
    """The largest Indel distance of two texts of so many characters together that are so similar."""
    return int((1 - least) * length + 1e-9)


def _may_be_same(left: str, right: str, threshold: float) -> bool:
    """False where the threshold, the least that is asked in any language, is missed; true of texts too long to tell so soon."""
    length = len(left) + len(right)
    if length > LONGEST:
        return True
    most = _most_apart(length, threshold)
    return abs(len(left) - len(right)) <= most and Indel.distance(left, right, score_cutoff=most) <= most


def _similar_enough(
    first: np.ndarray, second: np.ndarray, texts: Sequence[str], lengths: np.ndarray, threshold: float
) -> Iterator[tuple[int, int]]:
    """The pairs that may reach the threshold, told for all of them at once; those too long to be told so soon are among them."""
    together, apart = lengths[first] + lengths[second], np.abs(lengths[first] - lengths[second])
    reached = together > LONGEST
    asked = np.flatnonzero(~reached & (apart <= (1 - threshold) * together + 1e-6))
    similar = cpdist(
        [texts[position] for position in first[asked].tolist()],
        [texts[position] for position in second[asked].tolist()],
        scorer=Indel.normalized_similarity,
    )
    # A little less is asked for than is needed, so that the last bit of a quotient leaves nothing out.
    reached[asked] = similar >= threshold - 1e-4
    yield from zip(first[reached].tolist(), second[reached].tolist(), strict=True)


def _joined(item: Answered) -> str:
    return f"{item.prompt}\n{item.response}"


def _language(text: str) -> Language:
    return language_of(words_of(text[-LANGUAGE_FROM:]))


def _common_language(left: Language, right: Language) -> Language:
    """Of two texts to be compared: who says too little to be told speaks the other's."""
    if left is right or not right.known:
        return left
    return right if not left.known else OTHER


def _blocks(keys: Sequence[object]) -> np.ndarray:
    """A number for each text, equal for equal keys.

    Templated traffic is all alike but for its numbers: without blocks every pair would be proposed.
    """
    numbered: dict[object, int] = {}
    places = np.array([numbered.setdefault(key, len(numbered)) for key in keys], dtype=np.uint64)
    return (places + np.uint64(1)) * _BLOCK
