import pytest

from continuum.models.chat import Usage
from continuum.models.pricing import SIMULATED_PRICES, Price, price_usd


def test_a_known_model_has_its_list_price() -> None:
    assert price_usd("gpt-4o-mini", Usage(1000, 100), "https://api.openai.com/v1") == pytest.approx(0.00021)


def test_cached_input_costs_what_the_provider_asks_for_it() -> None:
    full = price_usd("gpt-4o-mini", Usage(1000, 100), "https://api.openai.com/v1")
    some = price_usd("gpt-4o-mini", Usage(1000, 100, cached_tokens=400), "https://api.openai.com/v1")

    assert full == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    assert some == pytest.approx(600 * 0.15e-6 + 400 * 0.075e-6 + 100 * 0.6e-6)


def test_cached_input_of_a_model_without_a_price_for_it_costs_as_any_other() -> None:
    assert price_usd("gpt-4", Usage(1000, 100, cached_tokens=400)) == price_usd("gpt-4", Usage(1000, 100))


def test_more_cached_tokens_than_there_was_input_are_not_believed() -> None:
    everything = price_usd("gpt-4o-mini", Usage(1000, 0, cached_tokens=1000))

    assert price_usd("gpt-4o-mini", Usage(1000, 0, cached_tokens=5000)) == everything


def test_a_model_behind_a_proxy_is_priced_by_its_name() -> None:
    assert price_usd("gpt-4o-mini", Usage(1000, 100), "http://10.0.0.7:4000/v1") == pytest.approx(0.00021)


def test_an_unknown_model_has_no_price_rather_than_a_zero() -> None:
    assert price_usd("our-own-model", Usage(1000, 100), "http://127.0.0.1:8000/v1") is None


@pytest.mark.parametrize(
    ("url", "known"), [("http://127.0.0.1:9/v1", True), ("http://[::1]:9/v1", True), ("https://api.openai.com/v1", False)]
)
def test_simulated_prices_hold_on_loopback_only(url: str, known: bool) -> None:
    assert (price_usd("sim-gpt", Usage(1_000_000, 0), url) == 30.0) is known
    assert set(SIMULATED_PRICES) == {"sim-gpt", "sim-judge"}


def test_a_price_counts_each_side_by_the_million() -> None:
    assert Price(2.0, 8.0).of(Usage(500_000, 250_000)) == 3.0
    assert Price(2.0, 8.0).of(Usage(500_000, 250_000, cached_tokens=500_000)) == 3.0
    assert Price(2.0, 8.0, 1.0).of(Usage(500_000, 250_000, cached_tokens=100_000)) == 2.9
