"""Made-up queries and dialogues, in the place of real ones where there are none."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

# --- a bank's queries ---------------------------------------------------------------------------------------------

SUBJECTS = {
    "card": ("debit card", "bank card", "plastic card", "chip card"),
    "transfer": ("bank transfer", "wire to my landlord", "payment by IBAN", "money I sent abroad"),
    "top_up": ("top-up", "deposit from my salary", "money I loaded", "cheque I paid in"),
    "withdrawal": ("cash withdrawal", "money from the ATM", "banknotes at the machine", "cash at the counter"),
    "exchange": ("currency exchange", "swap into dollars", "conversion to euros", "purchase of yen"),
    "refund": ("refund", "reimbursement from the shop", "chargeback", "money back from the merchant"),
    "subscription": ("direct debit", "monthly subscription", "standing order", "recurring charge"),
    "loan": ("personal loan", "mortgage", "credit line", "overdraft"),
    "account": ("savings account", "joint account", "business account", "junior account"),
    "app": ("phone app", "web login", "fingerprint sign-in", "security code"),
}
PROBLEMS = {
    "late": (
        "Why is my {} still not there {}?",
        "I keep waiting for the {} {}",
        "{} is overdue, promised {}",
        "How long until the {} shows up {}?",
        "No sign of my {} {}, what takes so long",
    ),
    "refused": (
        "My {} was declined {}",
        "The {} does not go through {}",
        "Why did you reject my {} {}?",
        "{} failed {} and nobody says why",
        "I get an error with the {} {}",
    ),
    "fee": (
        "What did you charge me for the {} {}?",
        "There is an extra fee on my {} {}",
        "How much does a {} cost {}?",
        "Is the {} free of charge {}?",
        "{} was more expensive than expected {}",
    ),
    "cancel": (
        "I want to cancel the {} {}",
        "How do I stop my {} {}?",
        "Undo the {} I arranged {}",
        "Please end my {} {}",
        "{} has to be called off {}",
    ),
    "limit": (
        "What is the maximum for a {} {}?",
        "Can I raise the limit of my {} {}?",
        "How often may I use the {} {}?",
        "My {} hit a ceiling {}",
        "Is there an upper bound on the {} {}?",
    ),
    "unknown": (
        "I do not recognise this {} {}",
        "Someone else made a {} {}",
        "There is a strange {} on my statement {}",
        "Who ordered the {} {}?",
        "A {} appeared {} that is not mine",
    ),
}
CIRCUMSTANCES = (
    *("since Monday", "after two weeks", "from last March", "in the summer", "over Easter", "before Christmas"),
    *("in Portugal", "at Zurich airport", "on a ship", "near Glasgow", "from Canada", "in a hotel lobby"),
    *("for my daughter", "with a colleague", "through my lawyer", "as a student", "for our club", "on behalf of grandpa"),
    *("over 40 pounds", "of 900 francs", "below ten euros", "worth 75 dollars", "of exactly 3120", "beyond half my wages"),
    *("using an old Nokia", "by telephone", "on a tablet", "in dark mode", "without internet", "via the helpdesk"),
    *("after moving house", "since the divorce", "following an upgrade", "while travelling", "during a strike", "past midnight"),
)
GREETINGS = ("", "", "", "Hello, ", "Hi there! ", "Excuse me, ", "Good morning. ", "Quick question: ")
TRAIN_OF_INTENT, TEST_OF_INTENT = 160, 40


def bank(seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Queries for training and for test, each with its intent; any two of them differ in a word that means something."""
    rng = random.Random(seed)
    train: list[tuple[str, str]] = []
    test: list[tuple[str, str]] = []
    for subject, names in SUBJECTS.items():
        for problem, frames in PROBLEMS.items():
            said = [(frame, name, rest) for frame in frames for name in names for rest in CIRCUMSTANCES]
            drawn = rng.sample(said, TRAIN_OF_INTENT + TEST_OF_INTENT)
            texts = [rng.choice(GREETINGS) + _sentence(frame.format(name, rest)) for frame, name, rest in drawn]
            train += [(text, f"{subject}_{problem}") for text in texts[:TRAIN_OF_INTENT]]
            test += [(text, f"{subject}_{problem}") for text in texts[TRAIN_OF_INTENT:]]
    rng.shuffle(train)
    return train, test


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


# --- an assistant's log -------------------------------------------------------------------------------------------

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
TOWNS = (
    "Oslo",
    "Rome",
    "Lima",
    "Cairo",
    "Paris",
    "Delhi",
    "Quito",
    "Accra",
    "Perth",
    "Turin",
    "Osaka",
    "Bergen",
    "Leeds",
    "Graz",
)
FILMS = (
    *("The Salt Road", "Nine Lanterns", "Harbour Lights", "A Quiet Orbit", "Wolves of June", "The Paper King", "Glass Summer"),
    *("Second Winter", "The Cartographer", "Red Umbrella", "Midnight Ferry", "The Bee Thief", "Cold Copper", "Borrowed Sky"),
)
OPENINGS = (
    "I would like to see a film in {town}",
    "what is on tonight in {town}?",
    "Two tickets for {film} please",
    "Can you get us into {film} in {town}",
    "hi, my kids want to watch {film}",
    "Find me a cinema near {town} station",
    "We are {count} people and love old films, we are in {town}",
    "is {film} still running anywhere around {town}?",
)
TURNS = (
    "When does {film} begin on {day}?",
    "{count} seats, in row {row}",
    "Not that one. I meant {film}",
    "What does it cost for {count} with a pensioner?",
    "Is there anything later than {hour}:30 on {day}",
    "how do I get there from {town}?",
    "ok book it for {day} at {hour}:15",
    "Does the hall of {film} have a ramp?",
    "please move it to {day}",
    "what do people say about {film}",
)
GOOD_WORDS = (
    "{film} begins at {hour}:15 on {day}. Shall I keep {count} seats?",
    "In {town} it is {hour} euros a seat, {count} seats together in row {row}.",
    "I have noted {film} on {day} for {count}. Anything else?",
    "The hall is on the ground floor, and row {row} has space.",
)
BAD_WORDS = ("I cannot help with that.", "What is your name?", "Sorry, say again?", "{film} is a film.", "Please hold the line.")
TOOLS = {"find_films": ("town", "day"), "find_showtimes": ("film", "town"), "book_seats": ("film", "day", "count")}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def dialogues(task: str, rows: int, seed: int) -> list[dict[str, Any]]:
    """Rows of made-up dialogues with tool calls, each rated by a person.

    One row in six answers a context a second time: mostly the one answer is good and the other bad, else both are the same but
    for a slip of the finger in some.
    """
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    while len(made) < rows:
        slots = _slots(rng)
        messages: list[dict[str, Any]] = [{"role": "assistant", "content": "Hello! Which film would you like to see?"}]
        for turn in range(rng.randint(1, 5)):
            frame = rng.choice(TURNS if turn else OPENINGS)
            # A caller stays with a film and a town most of the time.
            slots = _slots(rng) if rng.random() < 0.2 else slots
            messages.append({"role": "user", "content": frame.format(**slots)})
            if rng.random() < 0.5:
                call = _call(rng, slots, len(messages))
                _rate(made, task, rng, messages, call, slots)
                content = json.dumps({"found": rng.sample(FILMS, 3), "hour": slots["hour"]})
                messages += [call, {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": content}]
            words = {"role": "assistant", "content": rng.choice(GOOD_WORDS).format(**slots)}
            _rate(made, task, rng, messages, words, slots)
            messages.append(words)
    return made[:rows]


def _rate(
    made: list[dict[str, Any]],
    task: str,
    rng: random.Random,
    messages: list[dict[str, Any]],
    answer: dict[str, Any],
    slots: dict[str, Any],
) -> None:
    poor = {"role": "assistant", "content": rng.choice(BAD_WORDS).format(**slots)}
    good = rng.random() < 0.6
    _add(made, task, rng, messages, answer if good else poor, good=good)
    if rng.random() < 1 / 6:
        again = good if rng.random() < 0.3 else not good
        second = answer if again else poor
        _add(made, task, rng, messages, _mistyped(rng, second) if rng.random() < 0.5 else second, good=again)


def _mistyped(rng: random.Random, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with two letters of its longest word exchanged; a call is called as it is."""
    if not answer["content"]:
        return answer
    longest = max(answer["content"].split(), key=len)
    at = rng.randint(1, len(longest) - 3)
    slipped = longest[:at] + longest[at + 1] + longest[at] + longest[at + 2 :]
    return {**answer, "content": answer["content"].replace(longest, slipped, 1)}


def _add(
    made: list[dict[str, Any]],
    task: str,
    rng: random.Random,
    messages: list[dict[str, Any]],
    answer: dict[str, Any],
    *,
    good: bool,
) -> None:
    made.append(
        {
            "id": f"{task}-{len(made):05}",
            "task": task,
            "conversation_id": f"dlg-{rng.getrandbits(64):016x}",
            "started_at": (BEGIN + timedelta(seconds=37 * len(made))).isoformat(),
            "model": "made-up-assistant",
            "messages": list(messages),
            "response": answer,
            "feedback": {"score": 5 if good else 1, "label": "good" if good else "bad"},
        }
    )


def _slots(rng: random.Random) -> dict[str, Any]:
    return {
        "town": rng.choice(TOWNS),
        "film": rng.choice(FILMS),
        "day": rng.choice(DAYS),
        "hour": rng.randint(11, 22),
        "row": rng.randint(1, 19),
        "count": rng.randint(2, 8),
    }


def _call(rng: random.Random, slots: dict[str, Any], number: int) -> dict[str, Any]:
    name = rng.choice(sorted(TOOLS))
    arguments = json.dumps({slot: slots[slot] for slot in TOOLS[name]})
    call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}
