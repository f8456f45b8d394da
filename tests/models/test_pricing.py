import pytest

from continuum.models.chat import Usage
from continuum.models.pricing import SIMULATED_PRICES, Price, is_loopback, price_usd


def test_a_known_model_has_its_list_price() -> None:
    assert price_usd("gpt-4o-mini", Usage(1000, 100), "https://api.openai.com/v1") == pytest.approx(0.00021)


def test_a_model_behind_a_proxy_is_priced_by_its_name() -> None:
    assert price_usd("gpt-4o-mini", Usage(1000, 100), "http://10.0.0.7:4000/v1") == pytest.approx(0.00021)


def test_an_unknown_model_has_no_price_rather_than_a_zero() -> None:
    assert price_usd("our-own-model", Usage(1000, 100), "http://127.0.0.1:8000/v1") is None


@pytest.mark.parametrize(
    ("url", "known"), [("http://127.0.0.1:9/v1", True), ("http://[::1]:9/v1", True), ("https://api.openai.com/v1", False)]
)
def test_simulated_prices_hold_on_loopback_only(url: str, known: bool) -> None:
    assert is_loopback(url) is known
    assert (price_usd("sim-gpt", Usage(1_000_000, 0), url) == 30.0) is known
    assert set(SIMULATED_PRICES) == {"sim-gpt", "sim-judge"}


def test_a_price_counts_each_side_by_the_million() -> None:
    assert Price(2.0, 8.0).of(Usage(500_000, 250_000)) == 3.0
