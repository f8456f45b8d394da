"""What a call costs: list prices from the offline table of genai-prices, and the simulated prices of the demo's models."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from continuum.loopback import is_loopback
from continuum.models.chat import Usage


@dataclass(frozen=True)
class Price:
    """What a million tokens cost; zero for a model that runs on one's own machine."""

    input_usd_per_million: float
    output_usd_per_million: float
    cached_usd_per_million: float | None = None
    """Of input that the provider had in its cache; None where that costs the same."""

    def of(self, usage: Usage) -> float:
        """US dollars for this usage."""
        cached = cached_of(usage)
        lowered = self.input_usd_per_million if self.cached_usd_per_million is None else self.cached_usd_per_million
        read = (usage.input_tokens - cached) * self.input_usd_per_million + cached * lowered
        return (read + usage.output_tokens * self.output_usd_per_million) / 1_000_000


SIMULATED_PRICES = {"sim-gpt": Price(30.0, 60.0), "sim-judge": Price(2.5, 10.0)}
"""Made-up prices of the demo's simulated provider; they hold on a loopback address only."""


def price_usd(model: str, usage: Usage, base_url: str | None = None) -> float | None:
    """US dollars for this usage of a model; None where no price is known, never a silent zero.

    Args:
        model: the model's name.
        usage: tokens in and out; cached input is counted at its own price where the provider has one.
        base_url: the endpoint that was called; a provider it belongs to sets the price. Behind any other address, a proxy
            for instance, the model's name alone does.
    """
    if base_url and is_loopback(urlsplit(base_url).hostname or "") and model in SIMULATED_PRICES:
        return SIMULATED_PRICES[model].of(usage)
    from genai_prices import Usage as Tokens  # its table of all providers is built on import
    from genai_prices import calc_price

    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    tokens = Tokens(**counts, cache_read_tokens=cached_of(usage)) if usage.cached_tokens else Tokens(**counts)
    if base_url:
        try:
            return float(calc_price(tokens, model, provider_api_url=base_url).total_price)
        except LookupError:
            pass
    try:
        return float(calc_price(tokens, model).total_price)
    except LookupError:
        return None


def cached_of(usage: Usage) -> int:
    """The cached input tokens; a provider that counts more of them than of all input is not believed."""
    return max(0, min(usage.cached_tokens, usage.input_tokens))
