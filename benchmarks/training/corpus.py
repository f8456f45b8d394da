"""The made-up traffic that training is measured on: a shop's help desk, one small base model, lessons and held-out questions.

The base has read the help pages in shreds and passes every question on; the answers are new to it. Six general skills, two of
them constraints, it knows. Lessons and exams ask the same in different words: an exam's phrases are in no lesson.

| lessons | intents |
|---|---|
| two turns | 24 of the shop, then 12 of a new product |
| a sequence: money, parcels, account | 8 each of the shop's 24 |
"""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from continuum.demo.base_text import base_texts, exchange
from continuum.demo.knowledge import SKILLS
from continuum.demo.world import EXAM_PHRASES, OPENINGS, TRAFFIC_PHRASES, Intent, World, exam_opening
from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded
from continuum.records import Example
from continuum.training.base import build_base

WORLD = World()
FIRST, SECOND = WORLD.of_group("shop"), WORLD.of_group("speaker")
BASE_TEXTS, BASE_STEPS = 9600, 300
TASKS = {name: FIRST[start::3] for start, name in enumerate(("money", "parcels", "account"))}
"""A sequence of three tasks, in the order they are learned: the shop's intents take turns among them."""


def build_corpus_base(folder: Path, *, seed: int, texts: int = BASE_TEXTS, steps: int = BASE_STEPS) -> Path:
    """The base of half a million parameters, built once in `folder`."""
    if not (folder / "config.json").is_file():
        rng = random.Random(seed)
        unfinished = folder.with_name(folder.name + ".part")
        build_base(base_texts(WORLD, rng, texts), unfinished, length=96, steps=steps, seed=seed)
        unfinished.replace(folder)
    return folder


def lessons(intents: Sequence[Intent], rng: random.Random, each: int, *, exam: bool = False) -> list[Example]:
    """So many different questions on each intent with the right answer; an exam asks them in words of its own."""
    asked = [(intent, _questions(intent, rng, each, EXAM_PHRASES if exam else TRAFFIC_PHRASES)) for intent in intents]
    return [_example(text, intent.answer, intent.topic, exam) for intent, texts in asked for text in texts]


def general_lessons(*, exam: bool = False) -> list[Example]:
    """The general skills, each question with an opening: the exam's is in no text of the base and in no lesson."""
    rows = []
    for name, _, pairs in SKILLS:
        for question, answer in pairs:
            openings = [opening for opening in OPENINGS if (opening == exam_opening(question)) == exam]
            rows += [_example(opening + question, answer, name, exam) for opening in openings]
    return rows


@torch.inference_mode()
def said_exactly(model: torch.nn.Module, rows: Sequence[EncodedTurn], pad: int, batch_size: int = 64) -> list[bool]:
    """Whether greedy decoding gives each row's answer: each of its tokens is the likeliest after those before it."""
    model.eval()
    exact: list[bool] = []
    for start in range(0, len(rows), batch_size):
        ids, mask, labels = padded(rows[start : start + batch_size], pad, torch.device("cpu"))
        best = model(input_ids=ids, attention_mask=mask).logits[:, :-1].argmax(-1)
        targets = labels[:, 1:]
        exact += ((best == targets) | (targets == IGNORED)).all(1).tolist()
    return exact


def _questions(intent: Intent, rng: random.Random, count: int, phrases: Sequence[int]) -> list[str]:
    """Each phrase as often as the others."""
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[WORLD.sentence(intent, phrases[len(texts) % len(phrases)], rng)] = None
    return list(texts)


def _example(question: str, answer: str, intent: str, exam: bool) -> Example:
    messages = exchange(question, answer)
    return Example(
        interaction_id=question,
        messages=messages[:1],
        response=messages[1],
        score=5.0,
        score_source="human",
        split="validation" if exam else "train",
        group=question,
        intent=intent,
        reason="made up",
    )
