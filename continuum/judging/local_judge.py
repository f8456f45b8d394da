"""A causal model of this process as the judge: it fills in our form, so nothing it says can fail to be read.

It touches no network, runs no code that came with the weights, and costs no money.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from continuum.errors import JudgeError, MissingExtra
from continuum.judging.criteria import PROMPT_VERSION
from continuum.judging.injection import cleaned
from continuum.judging.judge import Capability, Judgement, Preference, floor_of, judgement_of, version_of
from continuum.judging.model_judge import EXCHANGED, PREFERRED, REASON_CHARACTERS, Better, settled_unasked
from continuum.judging.prompt import comparison_messages, judge_messages
from continuum.judging.whole import Together
from continuum.models.budget import Budget
from continuum.provenance.artifacts import sha256_of
from continuum.records import Message
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.judging.local_engine import Filled, FormFiller, Gap

REASON_TOKENS = 80
"""Room for some forty words."""
REASON_WORDS = 40
SCORES = ("1", "2", "3", "4", "5")
SIDES: tuple[Better, ...] = ("a", "b", "tie")
KEPT_MESSAGES = (32, 16, 8, 4, 2, 1, 0)
"""How much of a conversation is tried where all of it is longer than the model reads."""
MODEL_FILES = frozenset({".safetensors", ".json", ".jinja", ".model", ".txt"})

Case = tuple[Sequence[Message], Message, tuple[Criterion, ...]]
Pair = tuple[Sequence[Message], Message, Message, tuple[Criterion, ...]]


class LocalJudge:
    """A causal Hugging Face model as the judge; the same prompt as at an endpoint, and an answer that can always be read.

    The JSON is written here: the model writes each reason, up to the quote that closes it, and the score is the likeliest of
    the digits 1 to 5. How sure it is comes from their odds. Whatever does not apply gets a score all the same.

    Args:
        folder: the model with its tokenizer: safetensors and a chat template.
        name: what the judge is called; None for the folder's name.
        expected: score with the mean of the odds, which breaks ties, in place of the likeliest digit.
        batch_size: answers judged at once.

    Raises:
        MissingExtra: torch and transformers are not installed; when it first judges.
        ConfigurationError: there is no such model; when it first judges.
    """

    def __init__(self, folder: Path | str, *, name: str | None = None, expected: bool = False, batch_size: int = 8) -> None:
        self.folder = Path(folder)
        self.name = name or self.folder.name
        self.expected = expected
        self._together = Together(self.judge_all, batch_size)
        self._pairs = Together(self.compare_all, batch_size)

    @property
    def version(self) -> str:
        """Changes with the weights, the tokenizer and the prompt; read from all of the model's files, once."""
        return version_of("local", self._digest, PROMPT_VERSION, REASON_TOKENS, self.expected)

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.folder)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All that a judge can do."""
        return frozenset({"criteria", "reasons", "uncertainty", "pairwise", "safety", "approval"})

    async def __aenter__(self) -> Self:
        # The version is a hash of all weights, and is asked for on the event loop.
        await asyncio.to_thread(lambda: (self._filler, self.version))
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """Score the answer by each criterion; free.

        Raises:
            JudgeError: the answer alone is longer than the model reads.
        """
        floor = floor_of(conversation, response, criteria)
        if floor is not None:
            return floor
        outcome = await self._together.ask((conversation, response, tuple(criteria)))
        if isinstance(outcome, JudgeError):
            raise outcome
        return outcome

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """Say which answer is better, each standing first once; where that changes it, a tie.

        Raises:
            JudgeError: the answers alone are longer than the model reads.
        """
        settled = settled_unasked(conversation, first, second)
        if settled is not None:
            return settled
        asked = tuple(criteria)
        pairs = ((conversation, first, second, asked), (conversation, second, first, asked))
        given = await asyncio.gather(*map(self._pairs.ask, pairs))
        read: list[tuple[Better, str]] = []
        for outcome in given:
            if isinstance(outcome, JudgeError):
                raise outcome
            read.append(outcome)
        forward, backward = PREFERRED[read[0][0]], PREFERRED[EXCHANGED[read[1][0]]]
        return Preference(forward if forward == backward else "tie", forward == backward, (read[0][1], read[1][1]))

    def judge_all(self, cases: Sequence[Case]) -> list[Judgement | JudgeError]:
        """What it says of many answers; computed in the caller's thread, as many at once as there are."""

        def form(case: Case, kept: Sequence[Message]) -> "tuple[Sequence[Message], list[Gap]]":
            messages, ordered = judge_messages(kept, case[1], case[2])
            return messages, gaps_of([criterion.name for criterion in ordered])

        outcomes: list[Judgement | JudgeError] = []
        for case, filled in zip(cases, self._filled(cases, form), strict=True):
            outcomes.append(filled if isinstance(filled, JudgeError) else self._judgement(case, filled))
        return outcomes

    def compare_all(self, pairs: Sequence[Pair]) -> list[tuple[Better, str] | JudgeError]:
        """Which of two answers it finds better and why, of many pairs, in the order given."""
        from continuum.judging.local_engine import Gap

        def form(pair: Pair, kept: Sequence[Message]) -> "tuple[Sequence[Message], list[Gap]]":
            return comparison_messages(kept, pair[1], pair[2], pair[3]), [Gap("better", '{"reason": "', '", "better": "', SIDES)]

        outcomes: list[tuple[Better, str] | JudgeError] = []
        for filled in self._filled(pairs, form):
            if isinstance(filled, JudgeError):
                outcomes.append(filled)
            else:
                odds = filled[0].odds
                outcomes.append((SIDES[odds.index(max(odds))], reason_of(filled[0].words)))
        return outcomes

    @cached_property
    def _filler(self) -> "FormFiller":
        try:
            from continuum.judging.local_engine import FormFiller  # torch and transformers start here
        except ImportError as error:
            raise MissingExtra.of(error, "A judge in this process") from error
        return FormFiller(self.folder)

    def _filled(
        self, cases: "Sequence[Case] | Sequence[Pair]", form: Callable[..., "tuple[Sequence[Message], list[Gap]]"]
    ) -> "list[list[Filled] | JudgeError]":
        outcomes: list[list[Filled] | JudgeError] = [JudgeError("not judged")] * len(cases)
        batches: dict[int, list[tuple[int, tuple[Sequence[Message], list[Gap]]]]] = {}
        for place, case in enumerate(cases):
            fitting = self._fitting(case, form)
            if isinstance(fitting, JudgeError):
                outcomes[place] = fitting
            else:
                batches.setdefault(len(fitting[1]), []).append((place, fitting))
        for batch in batches.values():
            filled = self._filler.fill([one for _, one in batch], words=REASON_TOKENS)
            for (place, _), found in zip(batch, filled, strict=True):
                outcomes[place] = found
        return outcomes

    def _fitting(
        self, case: Case | Pair, form: Callable[..., "tuple[Sequence[Message], list[Gap]]"]
    ) -> "tuple[Sequence[Message], list[Gap]] | JudgeError":
        """The form with as much of the conversation's end as the model has room for."""
        conversation, context = case[0], self._filler.context
        needed = 0
        for kept in (len(conversation), *(most for most in KEPT_MESSAGES if most < len(conversation))):
            tried = form(case, conversation[len(conversation) - kept :])
            needed = self._filler.tokens(*tried, REASON_TOKENS)
            if context is None or needed <= context:
                return tried
        return JudgeError(
            f"judge {self.name!r} reads {context} tokens and this answer with its rubric takes {needed}; take a model with a "
            "longer context"
        )

    def _judgement(self, case: Case, filled: "Sequence[Filled]") -> Judgement:
        conversation, response, criteria = case
        scores: dict[str, float] = {}
        variance: dict[str, float] = {}
        for gap in filled:
            mean = sum(odds * score for score, odds in enumerate(gap.odds, start=1))
            likeliest = gap.odds.index(max(gap.odds)) + 1
            scores[gap.name] = min(5.0, max(1.0, mean)) if self.expected else float(likeliest)
            variance[gap.name] = sum(odds * (score - mean) ** 2 for score, odds in enumerate(gap.odds, start=1))
        reasons = {gap.name: reason_of(gap.words) for gap in filled}
        # The criteria are taken to err independently: what the model says of one is not asked again given the others.
        weight = sum(criterion.weight for criterion in criteria)
        std = math.sqrt(sum(criterion.weight**2 * variance[criterion.name] for criterion in criteria)) / weight
        return judgement_of(conversation, response, criteria, scores, reasons, 0.0, std=std)


def gaps_of(names: Sequence[str]) -> "list[Gap]":
    """The form of the answer by these criteria: under each name a reason, then one of the digits."""
    from continuum.judging.local_engine import Gap

    leads = (f'{"}, " if place else "{"}"{name}": {{"reason": "' for place, name in enumerate(names))
    return [Gap(name, lead, '", "score": ', SCORES) for name, lead in zip(names, leads, strict=True)]


def reason_of(words: str) -> str:
    """A reason as it is kept: without what hides or frames, and not longer than was asked for."""
    return " ".join(cleaned(words).split()[:REASON_WORDS])[:REASON_CHARACTERS]


def digest_of(folder: Path) -> str:
    """A hash of all files of a model that can change what it says."""
    files = (path for path in folder.glob("*") if path.suffix in MODEL_FILES and path.is_file())
    return version_of(*([path.name, sha256_of(path)] for path in sorted(files)))
