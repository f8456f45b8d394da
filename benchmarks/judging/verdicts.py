"""People's verdicts on answers, of dialogues that are told apart: from a file of real ones, or made up."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from continuum.records import FunctionCall, Interaction, Message, ToolCall
from continuum.similarity.normalise import canonical
from continuum.splits.groups import group_interactions, keys_of

OPENING_CAP = 50
"""As in a task's default policy."""
GOODS = ("lamp", "kettle", "carpet", "mirror", "blanket", "teapot", "candle", "basket", "drawer", "cushion", "ladder", "bucket")
PLACES = ("Oslo", "Rome", "Lima", "Cairo", "Paris", "Delhi", "Quito", "Accra", "Perth", "Turin", "Osaka", "Bergen")
FIRST = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Verdict:
    """An answer with a person's score."""

    interaction: Interaction
    score: float
    group: str


def recorded(file: Path) -> list[Verdict]:
    """The verdicts of a file; what is nothing but the opening of many dialogues belongs to all of them and is left out."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    known = {row["id"]: float(row["feedback"]["score"]) for row in rows}
    return _grouped([_interaction(row) for row in rows], known)


def made_up(dialogues: int, seed: int) -> list[Verdict]:
    """Dialogues about deliveries: an answer that takes up the question pleases three people of four, another one in four."""
    rng = random.Random(seed)
    interactions, scores = [], {}
    for dialogue in range(dialogues):
        said = [Message(role="user", content=f"Hello from customer {rng.getrandbits(40):x} about order {rng.getrandbits(30)}")]
        for turn in range(rng.randint(2, 12)):
            thing, place = rng.choice(GOODS), rng.choice(PLACES)
            said.append(Message(role="assistant", content=rng.choice(("What is it about?", "Tell me more.", "Yes?"))))
            said.append(Message(role="user", content=f"When does my {thing} for {place} arrive?"))
            fits = rng.random() < 0.4
            answer = _made_answer(rng, thing if fits else rng.choice(GOODS), place if fits else rng.choice(PLACES))
            one = f"{dialogue:04}-{turn:02}"
            at = FIRST + timedelta(minutes=30 * dialogue + turn)
            interactions.append(Interaction(id=one, task="made_up", started_at=at, messages=tuple(said), response=answer))
            scores[one] = 5.0 if rng.random() < (0.75 if fits else 0.25) else 1.0
            said.append(answer)
            if answer.tool_calls:
                said.append(Message(role="tool", tool_call_id="c", content=json.dumps({"days": rng.randint(1, 9)})))
    return _grouped(interactions, scores)


def of_one_dialogue(some: Sequence[Verdict], others: Iterable[Verdict]) -> int:
    """How many of the others begin or continue a conversation of these, by the messages alone; the splits are not asked."""
    beginnings = {digest for one in some for digest in _prefixes(one.interaction)}
    whole = {_prefixes(one.interaction)[-1] for one in some}
    return sum(found[-1] in beginnings or not whole.isdisjoint(found) for found in (_prefixes(one.interaction) for one in others))


def _grouped(interactions: list[Interaction], scores: dict[str, float]) -> list[Verdict]:
    groups = group_interactions(map(keys_of, interactions), OPENING_CAP)
    shared = set(groups.continued_by)
    return [Verdict(one, scores[one.id], groups.group[one.id]) for one in interactions if groups.group[one.id] not in shared]


def _prefixes(interaction: Interaction) -> list[str]:
    """A hash of each beginning of the context that goes beyond the first user turn, and of the whole context."""
    digest, found, asked = sha256(), [], False
    for message in interaction.messages:
        digest.update(f"{message.role}: {canonical(message.action)}\n".encode())
        asked = asked or message.role == "user"
        if asked:
            found.append(digest.hexdigest())
    return found or [digest.hexdigest()]


def _interaction(row: dict[str, object]) -> Interaction:
    return Interaction.model_validate({name: value for name, value in row.items() if name != "feedback"})


def _made_answer(rng: random.Random, thing: str, place: str) -> Message:
    if rng.random() < 0.4:
        arguments = json.dumps({"thing": thing, "place": place})
        return Message(role="assistant", tool_calls=(ToolCall(id="c", function=FunctionCall(name="find", arguments=arguments)),))
    words = f"The {thing} for {place} arrives on day {rng.randint(1, 9)}."
    return Message(role="assistant", content=words + " Can I do more for you?" * rng.randint(0, 3))


def dialogues_of(verdicts: Sequence[Verdict], share: float, rng: random.Random) -> tuple[list[int], list[int]]:
    """Places of the verdicts that are tested on, about this share of them, and of those to learn from: no dialogue is in both."""
    groups = sorted({one.group for one in verdicts})
    rng.shuffle(groups)
    sizes: dict[str, int] = {}
    for one in verdicts:
        sizes[one.group] = sizes.get(one.group, 0) + 1
    held: set[str] = set()
    count = 0
    for group in groups:
        if count >= share * len(verdicts):
            break
        held.add(group)
        count += sizes[group]
    return _places(verdicts, held, inside=True), _places(verdicts, held, inside=False)


def _places(verdicts: Sequence[Verdict], groups: set[str], *, inside: bool) -> list[int]:
    return [place for place, one in enumerate(verdicts) if (one.group in groups) == inside]


def rows_of(verdicts: Sequence[Verdict]) -> Iterator[tuple[Sequence[Message], Message]]:
    """Each conversation with its answer."""
    for one in verdicts:
        yield one.interaction.messages, one.interaction.response or Message(role="assistant")
