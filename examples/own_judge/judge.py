"""A judge that is a rule: no number may be made up, and nobody wants to read for long."""

import asyncio
import re
import sys
from collections.abc import Sequence

from continuum import AnnotationStats, Annotator, Criterion
from continuum.judging.judge import Capability, Judgement, judgement_of, version_of
from continuum.models.budget import Budget
from continuum.records import Message

NUMBER = re.compile(r"\d+")
WORDS = 60
"""An answer up to this long is short; one of twice as many words is long."""
RUBRIC = (
    Criterion("grounded", weight=0.7, description="Every number in the answer is in the conversation"),
    Criterion("brevity", weight=0.3, description=f"No longer than {WORDS} words"),
)


class RuleJudge:
    """Scores by rules, at once and for nothing."""

    name = "numbers-and-length"
    version = version_of("rule", name, str(WORDS))
    """Changes with whatever changes the scores, so that old scores are told from new ones."""
    capabilities: frozenset[Capability] = frozenset({"criteria", "reasons"})

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        """Score one answer."""
        known = {number for message in conversation for number in NUMBER.findall(message.text)}
        made_up = sorted(set(NUMBER.findall(response.text)) - known)
        length = len(response.text.split())
        scores = {"grounded": 1.0 if made_up else 5.0, "brevity": 5.0 - 4 * min(max(length / WORDS - 1, 0), 1)}
        reasons = {"grounded": f"made up: {', '.join(made_up)}" if made_up else "nothing made up", "brevity": f"{length} words"}
        return judgement_of(conversation, response, criteria, scores, reasons, cost_usd=0.0)


async def annotate(task: str) -> AnnotationStats:
    """Judge the task's backlog."""
    return await Annotator(judge_model=RuleJudge(), criteria=RUBRIC).annotate_backlog(task=task)


if __name__ == "__main__":
    stats = asyncio.run(annotate(sys.argv[1]))
    print(f"{stats.judged} judged for ${stats.cost_usd:.2f}; scores: {stats.score_histogram}")
