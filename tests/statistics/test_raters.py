import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.statistics.raters import RaterFit, Rating, fit_raters


def crowd(
    seed: int, *, honest: int = 40, liars: int = 10, verdicts: int = 40, items: int = 500
) -> tuple[list[Rating], dict[str, float], dict[str, float]]:
    """Verdicts, the truth, and each rater's accuracy; liars say three times as much and are mostly wrong."""
    rng = np.random.default_rng(seed)
    truth = {f"item {n}": float(rng.random() < 0.6) for n in range(items)}
    accuracy = {f"honest {n}": rng.uniform(0.7, 0.92) for n in range(honest)} | {
        f"liar {n}": rng.uniform(0.1, 0.3) for n in range(liars)
    }
    ratings = []
    for rater, right in accuracy.items():
        said = 3 * verdicts if rater.startswith("liar") else verdicts
        for item in rng.choice(list(truth), min(said, items), replace=False):
            ratings.append(Rating(item, rater, truth[item] if rng.random() < right else 1 - truth[item]))
    return ratings, truth, accuracy


def share_right(fit: RaterFit, truth: dict[str, float], apart: frozenset[str] = frozenset()) -> float:
    asked = [(item, probability) for item, probability in zip(fit.items, fit.probability, strict=True) if item not in apart]
    return float(np.mean([(probability > 0.5) == (truth[item] == 1) for item, probability in asked]))


def rate_of(fit: RaterFit, rater: str) -> tuple[float, float]:
    place = fit.raters.index(rater)
    return float(fit.sensitivity[place]), float(fit.specificity[place])


def test_with_known_items_a_flood_of_liars_does_not_decide() -> None:
    ratings, truth, accuracy = crowd(seed=1)
    known = {item: truth[item] for item in list(truth)[:25]}

    fit = fit_raters(ratings, known)

    majority = {item: np.mean([rating.good for rating in ratings if rating.item == item]) for item in fit.items if item in truth}
    assert np.mean([(share > 0.5) == (truth[item] == 1) for item, share in majority.items()]) < 0.65
    assert share_right(fit, truth, frozenset(known)) > 0.9
    found = (fit.sensitivity + fit.specificity) / 2
    assert np.mean(np.abs(found - [accuracy[rater] for rater in fit.raters])) < 0.08
    assert fit.converged
    assert fit.anchor == "known items"


def test_even_a_majority_of_liars_is_found_out_by_known_items() -> None:
    ratings, truth, _ = crowd(seed=2, honest=20, liars=30)
    known = {item: truth[item] for item in list(truth)[:25]}

    assert share_right(fit_raters(ratings, known), truth, frozenset(known)) > 0.9
    assert share_right(fit_raters(ratings), truth) < 0.1


def test_without_known_items_most_raters_are_taken_to_be_right_however_much_the_others_say() -> None:
    ratings, truth, _ = crowd(seed=3)

    fit = fit_raters(ratings)

    assert share_right(fit, truth) > 0.9
    assert fit.anchor == "majority of raters"


def test_one_rater_with_ten_thousand_verdicts_moves_nobody_elses() -> None:
    ratings, truth, _ = crowd(seed=4, liars=0)
    before = fit_raters(ratings)
    started = time.process_time()

    after = fit_raters([*ratings, *(Rating(f"item {n}", "flood", 0.0) for n in range(10_000))])

    assert time.process_time() - started < 5
    probability = dict(zip(after.items, after.probability, strict=True))
    moved = [abs(probability[item] - p) for item, p in zip(before.items, before.probability, strict=True)]
    assert np.mean(moved) < 0.02
    assert share_right(before, truth) - np.mean([(probability[item] > 0.5) == (truth[item] == 1) for item in before.items]) < 0.01
    assert after.reliability[after.raters.index("flood")] < 0.1


def test_a_rater_of_few_verdicts_is_taken_for_one_of_the_crowd() -> None:
    ratings, truth, _ = crowd(seed=5, liars=0)
    wrong = next(item for item in truth if truth[item] == 1)

    fit = fit_raters([*ratings, Rating(wrong, "new", 0.0)], {wrong: 1.0})

    sensitivity, specificity = rate_of(fit, "new")
    assert fit.population_sensitivity - 0.2 < sensitivity < fit.population_sensitivity
    assert specificity == pytest.approx(fit.population_specificity, abs=0.01)
    assert list(fit.known[[fit.raters.index("new")]]) == [1]


def test_a_rater_who_calls_everything_good_says_little_when_calling_something_good() -> None:
    ratings, _, _ = crowd(seed=6, liars=0)
    fit = fit_raters([*ratings, *(Rating(f"item {n}", "pleased", 1.0) for n in range(200))])

    sensitivity, specificity = rate_of(fit, "pleased")
    assert sensitivity > 0.9
    assert specificity < 0.1
    assert fit.reliability[fit.raters.index("pleased")] < 0.1


def test_of_repeated_verdicts_the_last_counts_and_counts_once() -> None:
    ratings, _, _ = crowd(seed=7, honest=10, liars=0, items=60)
    last = ratings[-1]
    repeated = [*ratings[:-1], *[last._replace(good=1 - last.good)] * 50, last]

    assert same(fit_raters(repeated), fit_raters(ratings))


def test_unknown_people_are_one_each_and_of_the_populations_kind() -> None:
    ratings, truth, _ = crowd(seed=8, liars=0)

    fit = fit_raters([Rating(item, None, good) for item, _, good in ratings])

    assert fit.raters == ()
    assert share_right(fit, truth) > 0.85
    assert fit.population_sensitivity > 0.7


def test_known_items_stay_as_they_are_known() -> None:
    fit = fit_raters([Rating("a", f"r{n}", 1.0) for n in range(20)], {"a": 0.0, "never judged": 1.0})

    assert list(fit.probability) == [0.0, 1.0]
    assert (fit.sensitivity + fit.specificity < 1.3).all()


def test_nothing_is_learned_from_nothing() -> None:
    fit = fit_raters([])

    assert (fit.items, fit.raters, fit.converged) == ((), (), True)
    assert fit.evidence()["verdicts"] == 0


@pytest.mark.parametrize(
    ("ratings", "leaning"),
    [
        ([Rating("a", "only", 1.0)], 1),
        ([Rating(f"{n}", "only", n % 2) for n in range(10)], 0),
        ([Rating(f"{n}", f"r{n}", 1.0) for n in range(30)], 1),
        ([Rating(f"{n}", f"r{m}", 1.0) for n in range(30) for m in range(4)], 1),
        ([Rating("a", "one", 1.0), Rating("a", "other", 0.0)], 0),
        ([Rating("a", None, 0.0)], -1),
    ],
    ids=["one verdict", "one rater", "no overlap", "everybody agrees", "two disagree", "one unknown"],
)
def test_little_evidence_gives_a_mild_answer_on_the_side_of_the_verdicts(ratings: list[Rating], leaning: int) -> None:
    fit = fit_raters(ratings)

    assert np.sign(np.round(fit.probability.mean() - 0.5, 3)) == leaning
    assert fit.converged
    assert np.isfinite(fit.log_likelihood)


def test_a_rater_who_shares_no_item_is_not_made_reliable_by_agreeing_with_itself() -> None:
    ratings, _, _ = crowd(seed=9, liars=0)
    alone = [Rating(f"far {n}", "alone", float(n % 10 < 6)) for n in range(2000)]

    fit = fit_raters([*ratings, *alone])

    place = fit.raters.index("alone")
    assert fit.shared[place] == 0
    assert fit.reliability[place] < np.median(fit.reliability) + 0.1


some_ratings = st.lists(
    st.builds(
        Rating,
        st.sampled_from([f"i{n}" for n in range(6)]),
        st.sampled_from([*(f"r{n}" for n in range(5)), None]),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    ),
    max_size=40,
    unique_by=lambda rating: rating[:2],
)
some_truth = st.dictionaries(st.sampled_from([f"i{n}" for n in range(8)]), st.sampled_from([0.0, 1.0]), max_size=4)


@settings(max_examples=80)
@given(some_ratings, some_truth, st.randoms(use_true_random=False))
def test_the_order_of_verdicts_changes_nothing_and_probabilities_are_probabilities(ratings, known, random) -> None:
    fit = fit_raters(ratings, known)
    shuffled = list(ratings)
    random.shuffle(shuffled)

    assert same(fit_raters(shuffled, dict(reversed(known.items()))), fit)
    for values in (fit.probability, fit.sensitivity, fit.specificity, fit.reliability):
        assert ((values >= 0) & (values <= 1)).all()
    assert 0 < fit.prevalence < 1
    assert np.isfinite(fit.log_likelihood)


@settings(max_examples=40)
@given(some_ratings, some_truth)
def test_names_carry_no_meaning(ratings, known) -> None:
    def item(name: str) -> str:
        return name.translate(str.maketrans("01234567", "76543210"))

    def rater(name: str | None) -> str | None:
        return None if name is None else name.translate(str.maketrans("01234", "42310"))

    fit = fit_raters(ratings, known)
    renamed = fit_raters([Rating(item(i), rater(r), good) for i, r, good in ratings], {item(i): t for i, t in known.items()})

    there = dict(zip(renamed.items, renamed.probability, strict=True))
    assert np.allclose([there[item(name)] for name in fit.items], fit.probability, atol=1e-4)


def same(left: RaterFit, right: RaterFit) -> bool:
    arrays = ("probability", "sensitivity", "specificity", "verdicts", "known", "shared")
    return left.evidence() == right.evidence() and all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in arrays
    )
