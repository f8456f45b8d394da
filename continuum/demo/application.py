"""The demo's application and the people around it: customers who ask, and support staff who correct what is wrong.

The application is what a user's own would be: an OpenAI client and one decorated function. The people are simulated.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from continuum import feedback
from continuum.demo.recipe import PRODUCTION_MODEL, TASK
from continuum.demo.world import Question, World
from continuum.progress import Progress, silent
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture

AT_ONCE = 16
CORRECTED = 0.9
"""How often a wrong answer is noticed and corrected."""
PRAISED = 0.2
"""How often a right answer gets a thumb up."""


@dataclass(frozen=True)
class Served:
    """One answer that a customer got."""

    question: Question
    answer: str
    interaction_id: str


class Application:
    """The shop's support application, talking to whatever OpenAI-compatible address it is given."""

    def __init__(self, base_url: str) -> None:
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(base_url=base_url, api_key="the-demo-needs-none", max_retries=0)

    @capture(task=TASK, model=PRODUCTION_MODEL)
    async def handle_inquiry(self, question: str) -> str:
        """Answer a customer."""
        reply = await self.client.chat.completions.create(
            model=PRODUCTION_MODEL, messages=[{"role": "user", "content": question}], max_tokens=64
        )
        return reply.choices[0].message.content or ""

    async def serve(self, questions: Sequence[Question], *, day: str, on_progress: Progress = silent) -> list[Served]:
        """Answer many customers, a few at once, each in a conversation of their own."""
        gate = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(number: int, question: Question) -> Served:
            nonlocal done
            async with gate:
                with context(conversation_id=f"{day}-{number}", user_id=f"customer-{day}-{number}"):
                    answer = await self.handle_inquiry(question.text)
                    served = Served(question, answer, interaction.id)
            done += 1
            on_progress(done, len(questions), "customers are asking")
            return served

        return list(await asyncio.gather(*(one(number, question) for number, question in enumerate(questions))))

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


async def correct(world: World, served: Sequence[Served], rng: random.Random) -> tuple[int, int]:
    """What simulated people say of the answers; how many they corrected, and how many they praised."""
    corrected = praised = 0
    for one in served:
        right = world.right_answer(one.question.text)
        luck = rng.random()
        if world.quality(one.question.text, one.answer) == "right":
            if luck < PRAISED:
                praised += 1
                await feedback.record(one.interaction_id, score=5, label="good")
        elif right and luck < CORRECTED:
            corrected += 1
            await feedback.record(one.interaction_id, score=1, label="bad", comment="Not what we sell.", correction=right)
    return corrected, praised
