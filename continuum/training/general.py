"""General questions whose answers by the base model itself are replayed, so that it goes on doing what it could before.

A small fixed set is enough for that, whatever is learned (GeRe, arXiv 2508.04676). The held-out questions are never trained on:
the loss on the base's own answers to them says what general skill was lost.
"""

import json
from collections.abc import Sequence
from hashlib import sha256

from continuum.records import Example, Message

TRAINING_PROMPTS: tuple[str, ...] = (
    # Arithmetic.
    "What is 7 plus 5?",
    "What is 12 times 8?",
    "How much is 144 divided by 12?",
    "What is 15 percent of 200?",
    "A train leaves at 9:40 and arrives at 11:05. How long is the ride?",
    "Round 3.14159 to two decimals.",
    # Everyday facts.
    "What is the capital of France?",
    "How many days are in a leap year?",
    "Why is the sky blue?",
    "At what temperature does water boil at sea level?",
    "Which planet is closest to the sun?",
    "Who wrote Romeo and Juliet?",
    "What do bees make?",
    "What is the largest ocean?",
    # Greetings and small talk.
    "Hello!",
    "Good morning, how are you today?",
    "Thank you, that was all.",
    "Nice to meet you.",
    "What can you do for me?",
    "Goodbye!",
    # Rewriting.
    "Make this sentence polite: Send me the file.",
    "Correct the spelling: I recieved teh letter yesterday.",
    "Say this in fewer words: At this point in time we are not able to come.",
    "Turn this into a question: The shop opens at ten.",
    "Put this in the past tense: She walks to school and sings.",
    "Summarize in one sentence: The cat slept all day. It only got up to eat. Then it slept again.",
    # Lists.
    "Name three fruits.",
    "List the four seasons.",
    "Give me five words that rhyme with light.",
    "Name two advantages of walking to work.",
    "List three things to pack for the beach.",
    "Sort these by size, smallest first: elephant, mouse, dog.",
    # Translation.
    "Translate to Spanish: Where is the station?",
    "Translate to German: I would like a cup of coffee.",
    "Translate to French: It is raining today.",
    "What does the Italian word grazie mean?",
    # Reasoning.
    "Tom is taller than Ann, and Ann is taller than Bob. Who is the shortest?",
    "If all roses are flowers, is every flower a rose?",
    "I have two coins that make 15 cents. Which coins are they?",
    "What comes next: 2, 4, 8, 16?",
    "Yesterday was Monday. What day is tomorrow?",
    # Code.
    "Write a Python function that returns the square of a number.",
    "What does the command ls do?",
    "Write a SQL query that counts the rows of a table named orders.",
    "How do I write a loop over a list in Python?",
    # Instructions.
    "Explain how to boil an egg.",
    "How do I tie a shoelace?",
    "Answer with one word: what is the opposite of cold?",
)
HELD_OUT_PROMPTS: tuple[str, ...] = (
    "What is 9 plus 6?",
    "What is 11 times 7?",
    "What is a quarter of 60?",
    "What is the capital of Italy?",
    "How many hours are in two days?",
    "Which animal is known for its long neck?",
    "What color do you get from blue and yellow?",
    "Hi there!",
    "Good evening, nice to talk to you.",
    "Thanks a lot, bye!",
    "Make this sentence polite: Close the door.",
    "Correct the spelling: Tommorow is a holliday.",
    "Turn this into a question: The bus stops here.",
    "Name three vegetables.",
    "List two things you find in a kitchen.",
    "Translate to Spanish: Good night, my friend.",
    "Translate to German: The book is on the table.",
    "What does the French word bonjour mean?",
    "Anna runs faster than Max, and Max runs faster than Lea. Who is the fastest?",
    "What comes next: 3, 6, 9, 12?",
    "Write a Python function that adds two numbers.",
    "What does an if statement do?",
    "Explain how to make a cup of tea.",
    "Answer with one word: what is the opposite of big?",
)


def general_rows(prompts: Sequence[str], answers: Sequence[Message | str]) -> tuple[Example, ...]:
    """The questions with the answers that a model gave to them, as rows to replay; those without words are left out.

    Args:
        prompts: what was asked.
        answers: what the base model said, in the same order.
    """
    said = [Message(role="assistant", content=answer) if isinstance(answer, str) else answer for answer in answers]
    return tuple(
        _row((Message(role="user", content=prompt),), answer, "the base model's own answer to a general question")
        for prompt, answer in zip(prompts, said, strict=True)
        if answer.text.strip()
    )


def _row(messages: tuple[Message, ...], answer: Message, reason: str) -> Example:
    said = json.dumps([message.model_dump() for message in (*messages, answer)], sort_keys=True)
    name = f"general-{sha256(said.encode()).hexdigest()[:16]}"
    return Example(
        interaction_id=name, messages=messages, response=answer, score=5.0, score_source="human", group=name, reason=reason
    )
