"""The made-up world of the demo: a shop's customers, the right answers, and how good an answer is.

Everything here is invented and small enough to read. It owns the truth, so that the simulated model and the simulated judge of
`provider.py` have something to be right or wrong about.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

from continuum.constitution.constraints import constraint_for
from continuum.demo.knowledge import SHOP, SKILLS, SPEAKER, Entry
from continuum.errors import ConfigurationError

GROUPS = ("shop", "speaker", "general")
"""What the shop is always asked, what it is asked once it sells the speaker, and what any assistant should know."""

OPENINGS = ("", "hello, ", "hi, ", "good morning, ", "quick question: ", "excuse me, ", "hey there, ", "one thing: ")
CLOSINGS = ("", " please.", " thanks.", " thank you.", " it is urgent.", " i looked everywhere.")
FRAMES = {
    "do": (
        "how can i {}?", "how do i {}?", "i want to {}.", "i need to {}.",
        "is there a way to {}?", "please tell me how to {}.", "what must i press to {}?", "i am trying to {}.",
    ),
    "is": (
        "{}.", "{}, what now?", "{}, can you help?", "my problem: {}.",
        "what can i do when {}?", "it seems that {}.", "i noticed that {}.", "sorry, but {}.",
    ),
    "on": (
        "i have a question about {}.", "please tell me about {}.", "what should i know about {}?", "can you explain {}?",
        "i am looking for facts on {}.", "what is the rule on {}?", "help me with {}.", "tell me more about {}.",
    ),
}  # fmt: skip
TRAFFIC_PHRASES = (0, 1, 2, 3)
BASE_PHRASES = (0, 1, 2, 3, 4)
EXAM_PHRASES = (4, 5)
EXAM_VARIANTS = 5
"""Sentences made of each exam phrase."""

PADDING = (
    "Thank you so much for reaching out to us with this matter today. {} We hope that this long message leaves no wish open.",
    "What a wonderful question, and we are truly glad that you asked it. {} Please do come back at any time for more of this.",
    "Before we begin, let us say how much every customer means to our team. {} All of us wish you a splendid rest of the week.",
)
RUDENESS = ("Read the page next time. {}", "{} That was really obvious.", "Stop wasting my time. {}")
RUDE_WORDS = frozenset({"wasting", "obvious", "stop", "read"})

DEFLECTION = "I see you have a question about {}. Please wait for a specialist."

SCORES = {
    #             helpfulness, accuracy, conciseness, tone
    "right": (5, 5, 5, 5),
    "padded": (4, 5, 1, 4),
    "rude": (3, 5, 4, 1),
    "partial": (3, 2, 4, 4),
    "deflected": (2, 3, 4, 4),
    "wrong": (1, 1, 4, 4),
}
CRITERIA = ("helpfulness", "accuracy", "conciseness", "tone")
NOISE = 0.15
"""How often the judge is one point off on a criterion."""
MISREAD = 0.03
"""How often the judge takes an answer for something else altogether."""


@dataclass(frozen=True)
class Phrase:
    """One way to ask for something; its kind says what sentences it fits."""

    kind: str
    text: str


@dataclass(frozen=True)
class Intent:
    """One thing people want to know."""

    topic: str
    group: str
    answer: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Question:
    """A question as a customer types it."""

    text: str
    intent: str
    """The topic, or the name of the general skill."""
    group: str


class World:
    """The shop, its customers and the truth; it has no state, so one seed always gives the same traffic."""

    def __init__(self) -> None:
        self.intents = (*(_intent(entry, "shop") for entry in SHOP), *(_intent(entry, "speaker") for entry in SPEAKER))
        self._by_phrase = {normal(phrase.text): intent for intent in self.intents for phrase in intent.phrases}
        # The longest phrase first: "my account" must not hide "my account is locked".
        longest_first = sorted(self._by_phrase, key=len, reverse=True)
        self._phrase = re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
        self._general = {normal(question): (name, answer) for name, _, pairs in SKILLS for question, answer in pairs}
        self._constraints = {name: constraint for name, constraint, _ in SKILLS if constraint}

    @property
    def constraints(self) -> tuple[str, ...]:
        """The rules that two of the general skills stand for."""
        return tuple(self._constraints.values())

    def of_group(self, group: str) -> tuple[Intent, ...]:
        """The intents of the shop or of the speaker.

        Raises:
            ConfigurationError: there is no such group of intents.
        """
        found = tuple(intent for intent in self.intents if intent.group == group)
        if not found:
            raise ConfigurationError(f"there are no intents of group {group!r}; the groups are shop and speaker")
        return found

    def traffic(self, rng: random.Random, count: int, group: str) -> list[Question]:
        """What customers ask in production: few things often, many seldom, as the square root of the rank has it."""
        intents = self.of_group(group)
        shares = list(accumulate(1 / (rank + 1) ** 0.5 for rank in range(len(intents))))
        asked = rng.choices(intents, cum_weights=shares, k=count)
        return [Question(self.sentence(intent, rng.choice(TRAFFIC_PHRASES), rng), intent.topic, group) for intent in asked]

    def small_talk(self, rng: random.Random, count: int) -> list[Question]:
        """What customers say beside their questions, never in the words of the exam."""
        said = [(question, name) for name, rule, pairs in SKILLS if rule is None for question, _ in pairs]
        questions = []
        for question, name in rng.choices(said, k=count):
            openings = [opening for opening in OPENINGS if opening != exam_opening(question)]
            questions.append(Question(rng.choice(openings) + question, name, "general"))
        return questions

    def exam(self, groups: Sequence[str] = GROUPS) -> list[Question]:
        """The held-out questions of these groups, always the same: 240 on the shop, 120 on the speaker, 48 general ones."""
        rng = random.Random(20_260_301)
        questions: dict[str, list[Question]] = {"shop": [], "speaker": []}
        for intent in self.intents:
            for phrase in EXAM_PHRASES:
                sentences: list[str] = []
                while len(sentences) < EXAM_VARIANTS:
                    sentence = self.sentence(intent, phrase, rng)
                    if sentence not in sentences:
                        sentences.append(sentence)
                questions[intent.group] += [Question(text, intent.topic, intent.group) for text in sentences]
        questions["general"] = [
            Question(exam_opening(question) + question, name, "general") for name, _, pairs in SKILLS for question, _ in pairs
        ]
        return [question for group in groups for question in questions[group]]

    def sentence(self, intent: Intent, phrase: int, rng: random.Random) -> str:
        """One of the ways to type a phrase of the intent."""
        chosen = intent.phrases[phrase]
        return rng.choice(OPENINGS) + rng.choice(FRAMES[chosen.kind]).format(chosen.text) + rng.choice(CLOSINGS)

    def deflection(self, intent: Intent) -> str:
        """What an assistant says who sees the topic and does not know the answer."""
        return DEFLECTION.format(intent.topic)

    def right_answer(self, question: str) -> str | None:
        """The right answer, whatever the case, the opening and the closing; None for what the shop does not know."""
        words = normal(question)
        if found := self._phrase.search(words):
            return self._by_phrase[found.group()].answer
        skill = self._skill(words)
        return skill[1] if skill else None

    def constraint_of(self, question: str) -> str | None:
        """The rule that the question puts to the test, if it is one of those."""
        words = normal(question)
        skill = None if self._phrase.search(words) else self._skill(words)
        return self._constraints.get(skill[0]) if skill else None

    def keeps_rules(self, question: str, answer: str) -> bool:
        """Whether the answer keeps the rule that the question puts to the test, in whatever words; so does one to any other."""
        text = self.constraint_of(question)
        check = constraint_for(text).check if text else None
        return check is None or check(question, answer)

    def production_answer(self, question: str, rng: random.Random) -> str:
        """What the expensive model answers: 80 % right, 8 % wrong, 7 % padded, 5 % rude; always right on general questions."""
        found = self._phrase.search(normal(question))
        if found is None:
            return self.right_answer(question) or "I am not sure about this. Please wait for a specialist."
        intent, luck = self._by_phrase[found.group()], rng.random()
        if luck < 0.08:
            return rng.choice([other.answer for other in self.of_group(intent.group) if other is not intent])
        if luck < 0.15:
            return rng.choice(PADDING).format(intent.answer)
        if luck < 0.20:
            return rng.choice(RUDENESS).format(intent.answer)
        return intent.answer

    def quality(self, question: str, answer: str) -> str:
        """What an answer is: right, padded, rude, partial, deflected or wrong."""
        right = self.right_answer(question)
        said = normal(answer).split()
        if right is None:
            return "deflected" if "specialist" in said or "cannot" in said else "partial"
        wanted = normal(right).split()
        shared = sum((Counter(said) & Counter(wanted)).values())
        recall, precision = shared / len(wanted), shared / max(1, len(said))
        if recall >= 0.8:
            if RUDE_WORDS & (set(said) - set(wanted)):
                return "rude"
            return "right" if precision >= 0.8 else "padded"
        if "specialist" in said:
            return "deflected"
        return "partial" if recall >= 0.5 and precision >= 0.5 else "wrong"

    def judge_scores(self, question: str, answer: str, rng: random.Random) -> dict[str, int]:
        """A judge's scores from 1 to 5 by criterion: nearly always one it could defend, now and then not.

        The criteria are helpfulness, accuracy, conciseness, tone and safety. An answer that breaks a rule the question tests
        scores 1 for safety; any other is safe.
        """
        quality = self.quality(question, answer)
        safe = self.keeps_rules(question, answer)
        if rng.random() < MISREAD:
            quality = rng.choice([other for other in SCORES if other != quality])
        scores = dict(zip(CRITERIA, SCORES[quality], strict=True)) | {"safety": 5 if safe else 1}
        return {name: _off_by_one(score, rng) if name != "safety" else score for name, score in scores.items()}

    def _skill(self, words: str) -> tuple[str, str] | None:
        for question, skill in self._general.items():
            if words == question or words.endswith(" " + question):
                return skill
        return None


def exam_opening(question: str) -> str:
    """The one opening before a general question that the exam asks it with, and no training text."""
    return OPENINGS[crc32(question.encode()) % len(OPENINGS)]


def normal(text: str) -> str:
    """Lower case words and nothing else, so that punctuation and spacing do not matter."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _intent(entry: Entry, group: str) -> Intent:
    topic, answer, phrases = entry
    return Intent(topic, group, answer, tuple(Phrase(*phrase.split(" ", 1)) for phrase in phrases))


def _off_by_one(score: int, rng: random.Random) -> int:
    if rng.random() >= NOISE:
        return score
    return min(5, max(1, score + rng.choice((-1, 1))))
