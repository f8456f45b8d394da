"""The proxy's benchmark: its dialogues really are apart, and its own check would see it if they were not."""

import random

from benchmarks.judging.verdicts import dialogues_of, made_up, of_one_dialogue


def test_the_dialogues_tested_on_are_not_those_learned_from() -> None:
    verdicts = made_up(60, seed=1)
    for seed in range(5):
        test, pool = dialogues_of(verdicts, 0.4, random.Random(seed))
        assert sorted(test + pool) == list(range(len(verdicts)))
        assert 0.35 < len(test) / len(verdicts) < 0.5
        assert of_one_dialogue([verdicts[n] for n in pool], [verdicts[n] for n in test]) == 0


def test_rows_drawn_without_regard_to_dialogues_are_found_out() -> None:
    verdicts = made_up(60, seed=1)
    places = random.Random(0).sample(range(len(verdicts)), len(verdicts))
    half = len(places) // 2
    found = of_one_dialogue([verdicts[n] for n in places[:half]], [verdicts[n] for n in places[half:]])
    assert found > 0.9 * half


def test_the_same_seed_makes_up_the_same_verdicts() -> None:
    assert made_up(5, seed=3) == made_up(5, seed=3) != made_up(5, seed=4)
