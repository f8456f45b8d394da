"""Presidio as a redactor, for names and places: the built-in patterns first, then Presidio's recognisers and a spaCy model.

Without a spaCy model on the machine its patterns work alone, and names stay. Nothing is fetched from a network: models are used
when they are installed, and the public suffix list is the one that tldextract ships.
"""

# pyright: reportMissingImports=false
# An extra that development does without.

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from continuum.errors import MissingExtra
from continuum.spool.patterns import PatternRedactor

MIN_SCORE = 0.5
"""Below it Presidio itself is in doubt: bare digits that have the length of some licence."""
LEFT = {"DATE_TIME", "URL", "NRP", "ORGANIZATION", "UUID"}
"""Entities that say little about who somebody is, and are what support traffic is about."""
PLACEHOLDERS = {
    "EMAIL_ADDRESS": "EMAIL", "PHONE_NUMBER": "PHONE", "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN", "IP_ADDRESS": "IP",
    "PERSON": "PERSON", "LOCATION": "LOCATION",
    "CRYPTO": "CRYPTO", "MAC_ADDRESS": "MAC_ADDRESS", "MEDICAL_LICENSE": "MEDICAL_LICENSE",
}  # fmt: skip
"""The placeholder of an entity; what is not named here is an id that some state gives."""
PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]*\]")
MAX_PASSES = 4
SIZES = ("_trf", "_lg", "_md", "_sm")
"""Models of a language, best first."""


class PresidioRedactor:
    """The built-in patterns and Presidio's analyzer, in English.

    Raises:
        MissingExtra: `presidio-analyzer` is not installed.
    """

    name = "presidio"

    def __init__(self) -> None:
        model = None
        try:
            model = installed_model()
            self.analyzer = offline_analyzer(model)
        except ImportError as error:
            raise MissingExtra(
                f"The redactor 'presidio' needs the package {(error.name or 'presidio_analyzer').split('.')[0]!r}; "
                "install it with: pip install 'continuum-ai[presidio]'"
            ) from error
        self.patterns = PatternRedactor()
        self.version = f"presidio-{version('presidio-analyzer')}+{model or 'no-model'}+{self.patterns.version}"

    def redact(self, text: str) -> str:
        """The text with placeholders where the patterns or Presidio found something."""
        for _ in range(MAX_PASSES):
            found = self.found_by_presidio(self.patterns.redact(text))
            if found == text:
                return text
            text = found
        return text

    def found_by_presidio(self, text: str) -> str:
        """The text with placeholders where Presidio found something that no placeholder stands for yet."""
        if not text.strip():
            return text
        results = self.analyzer.analyze(text, language="en", score_threshold=MIN_SCORE)
        taken = [match.span() for match in PLACEHOLDER.finditer(text)]
        spans: list[tuple[int, int, str]] = []
        for result in sorted(results, key=lambda result: (-result.score, result.start, -result.end)):
            free = all(result.end <= start or end <= result.start for start, end in taken)
            if free and result.entity_type not in LEFT:
                taken.append((result.start, result.end))
                spans.append((result.start, result.end, PLACEHOLDERS.get(result.entity_type, "NATIONAL_ID")))
        for start, end, kind in sorted(spans, reverse=True):
            text = f"{text[:start]}[{kind}]{text[end:]}"
        return text


def installed_model() -> str | None:
    """The best English spaCy model on this machine, with its version; None where there is none."""
    import spacy.util

    names = [name for name in spacy.util.get_installed_models() if name.startswith("en_")]
    ranked = sorted(names, key=lambda name: next((rank for rank, size in enumerate(SIZES) if name.endswith(size)), len(SIZES)))
    for name in ranked:
        try:
            return f"{name}-{version(name)}"
        except PackageNotFoundError:
            continue
    return None


def offline_analyzer(model: str | None) -> Any:
    """Presidio's analyzer on a model that is here, or on a tokenizer alone."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine()
    # Set here because `load` would download what is missing.
    engine.nlp = {"en": spacy.load(model.rsplit("-", 1)[0]) if model else spacy.blank("en")}  # type: ignore[assignment]
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    # The one that comes with Presidio asks the network for the list of public suffixes.
    registry.remove_recognizer("EmailRecognizer")
    registry.add_recognizer(offline_mail_recognizer())
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def offline_mail_recognizer() -> Any:
    """Presidio's recogniser of mail addresses, with the list of public suffixes that tldextract ships."""
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    extract = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return extract(pattern_text).fqdn != ""

    return OfflineEmailRecognizer()
