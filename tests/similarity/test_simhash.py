import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.similarity import simhash
from continuum.similarity.simhash import BLANK, RecentFingerprints, fingerprints

WORDS = ["the", "parcel", "came", "late", "order", "refund", "card", "account", "please", "change", "address", "where", "is"]


def prose(words: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(WORDS) + " " + str(rng.randrange(10_000)) for _ in range(words)]


def hamming(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def flipped(fingerprint: str, bits: int, rng: random.Random) -> str:
    value = int(fingerprint, 16)
    for bit in rng.sample(range(64), bits):
        value ^= 1 << bit
    return f"{value:016x}"


def test_fingerprints_are_the_same_on_every_machine_and_forever() -> None:
    assert fingerprints(["Where is my order?", "我的订单在哪里？", "Straße", "?", "a " * 5000, ""]) == [
        "22c20d8d4125150e",
        "13d06be3fdb4b78a",
        "96357cb1a9a259f1",
        "bb12321ebb022b63",
        "2b26af5ad1fa29b6",
        BLANK,
    ]


def test_case_and_spacing_do_not_count() -> None:
    plain, *same = fingerprints(
        [
            "where is my order?",
            "Where IS my\n\n\torder?  ",
            " WHERE is\u00a0my order?",
            "\uff37\uff48\uff45\uff52\uff45 is my order?",
        ]
    )
    assert same == [plain] * 3


def test_a_word_changed_in_a_long_text_is_a_near_repeat_and_another_text_is_not() -> None:
    words = prose(400)
    changed = [*words[:200], "something", *words[201:]]
    longer = ["one", "more", *words]
    original, *near, other = fingerprints([" ".join(text) for text in (words, changed, longer, prose(400, seed=1))])

    assert max(hamming(original, one) for one in near) <= 3
    assert hamming(original, other) > 10


def test_text_in_front_of_a_very_long_one_moves_little_of_it() -> None:
    words = [f"word{n}" for n in range(20_000)]
    original, shifted = fingerprints([" ".join(words), " ".join(["ahead"] * 50 + words)])

    assert hamming(original, shifted) <= 6


def test_a_texts_fingerprint_does_not_depend_on_its_batch() -> None:
    texts = [" ".join(prose(size, seed=size)) for size in (0, 1, 3, 400, 9000, 2, 0, 50)] * 3

    assert fingerprints(texts) == [fingerprints([text])[0] for text in texts]
    assert fingerprints([]) == []


@given(st.lists(st.text(st.characters(codec=None), max_size=60), max_size=20))
def test_any_text_has_a_fingerprint_of_sixteen_digits(texts: list[str]) -> None:
    found = fingerprints(texts)

    assert [len(one) for one in found] == [16] * len(texts)
    assert found == [fingerprints([text])[0] for text in texts]
    assert found == fingerprints([f" {text}\n" for text in texts])


def test_what_stands_beyond_the_longest_text_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simhash, "LONGEST", 17)

    assert fingerprints(["where is my order and more"]) == fingerprints(["where is my order"])


def test_a_repeat_is_traced_to_the_earliest_call_like_it() -> None:
    recent, rng = RecentFingerprints(), random.Random(0)
    first, other = fingerprints(["Where is my order?", "I want my money back."])

    assert recent.near(first, "a") is None
    assert recent.near(other, "b") is None
    assert recent.near(flipped(first, 3, rng), "c") == "a"
    assert recent.near(first, "d") == "a"
    assert recent.near(flipped(other, 4, rng), "e") is None


def test_a_text_without_words_repeats_nothing() -> None:
    recent = RecentFingerprints()

    assert [recent.near(BLANK, id) for id in "abc"] == [None, None, None]


def test_what_was_remembered_at_the_start_is_found_and_what_left_the_window_is_not() -> None:
    recent = RecentFingerprints(window=3)
    old, *between = fingerprints(["Where is my order?", "What does it cost?", "May I pay by card?", "Thank you."])

    recent.remember(old, "old")
    assert recent.near(old, "copy") == "old"
    for number, one in enumerate(between[:2]):
        recent.near(one, str(number))
    assert recent.near(old, "again") == "copy"
    for one in between:
        recent.remember(one, "filler")
    assert recent.near(old, "late") is None


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("window", [1, 50, 1000])
def test_every_fingerprint_within_three_bits_is_found(alike: bool, window: int) -> None:
    """Against comparing with each; `alike` is traffic of one template, where all share a band."""
    rng = random.Random(1)
    recent, seen = RecentFingerprints(window=window), []
    for number in range(400):
        fresh = f"{rng.getrandbits(48 if alike else 64):016x}"
        value = flipped(rng.choice(seen), rng.randrange(6), rng) if seen and rng.random() < 0.5 else fresh
        near = [place for place in range(max(0, number - window), number) if hamming(seen[place], value) <= 3]

        assert recent.near(value, str(number)) == (str(near[0]) if near else None)
        seen.append(value)


@pytest.mark.parametrize("window", [1, 7, 60])
def test_of_a_few_texts_over_and_over_each_is_traced_to_its_earliest_in_the_window(window: int) -> None:
    rng = random.Random(2)
    few = [f"{rng.getrandbits(64):016x}" for _ in range(3)]
    few += [flipped(few[0], bits, rng) for bits in (2, 4)]
    recent, seen = RecentFingerprints(window=window), []
    for number in range(600):
        # Now one of them alone, now all mixed: what was found is near at hand once, and far away another time.
        value = few[number // 100 % 5] if number // 50 % 2 else rng.choice(few)
        near = [place for place in range(max(0, number - window), number) if hamming(seen[place], value) <= 3]

        assert recent.near(value, str(number)) == (str(near[0]) if near else None)
        seen.append(value)
