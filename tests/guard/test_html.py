import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.guard.html import to_html
from continuum.guard.reading import findings
from tests.guard.verdicts import a_measured_verdict

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "</style><style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "\"><svg onload=alert(1)>' onmouseover='alert(1)",
    "</p></div></main></body></html><iframe src=https://evil.example></iframe><base href=//evil.example>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; ]]> --> <!--",
    "\u202egnp.exe\u2066 \u200b\x1b[31m\x00\x07",
    "javascript:alert(1) [x](javascript:alert(1)) {{7*7}} ${7*7}",
)
TAGS = """
html head meta title style body main section p h1 h2 h3 ul li span svg line g circle path text table thead tbody tr th td div bdi
dl dt dd code details summary
"""
ALLOWED = set(TAGS.split())
VOID = {"meta", "line", "circle", "path"}


class Page(HTMLParser):
    """Collects what a browser would make of a page, and whether its elements are closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def harmless(page: Page) -> None:
    """Nothing is loaded, nothing runs, and no element is there that the report does not draw."""
    assert page.open == []
    for tag, attributes in page.elements:
        assert tag in ALLOWED
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style", "srcdoc", "action"}}


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_shown_and_do_nothing(words: str) -> None:
    verdict = a_measured_verdict(fall=0.3, answer=words, question=words, constraint=words, slices=(words, None))

    page = Page(to_html(verdict))

    harmless(page)
    assert not set("\u202e\u2066\u200b\x1b\x00\x07").intersection(page.text)


@settings(max_examples=25)
@given(st.text(max_size=80))
def test_no_words_at_all_change_the_page(words: str) -> None:
    harmless(Page(to_html(a_measured_verdict(fall=0.3, size=40, answer=words, constraint=words or "x", slices=(words, None)))))


def test_the_page_forbids_itself_everything_but_its_own_style() -> None:
    page = to_html(a_measured_verdict())

    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert style
    assert policy
    digest = b64encode(sha256(style.group(1).encode()).digest()).decode()
    assert policy.group(1).split("; ") == [
        "default-src &#x27;none&#x27;".replace("&#x27;", "'"),
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert page.count("<style>") == 1
    assert "url(" not in page
    assert "@import" not in page


def test_every_check_that_was_compared_has_a_strip_that_says_itself() -> None:
    verdict = a_measured_verdict(fall=0.1)
    page = Page(to_html(verdict))

    spoken = [found["aria-label"] or "" for tag, found in page.elements if tag == "svg" and found.get("role") == "img"]
    for one in findings(verdict):
        assert any(words.startswith(f"{one.label}: {one.number('delta'):+.3f}, 95% ") for words in spoken), one.check


def test_an_outcome_is_a_shape_and_a_word_and_not_a_colour_alone() -> None:
    page = to_html(a_measured_verdict(fall=0.1))

    for name, shape in (("passed", "<circle"), ("regressed", "<path"), ("undecided", 'class="hollow"')):
        drawn = re.findall(rf'<g class="{name}">(.*?)</g>', page)
        assert drawn
        assert all(shape in one for one in drawn)
    words = Page(page).text
    assert all(word in words for word in ("✗ regressed", "✓ passed", "? only reported"))


def test_what_lies_on_a_strip_lies_in_the_order_of_its_numbers() -> None:
    verdict = a_measured_verdict(fall=0.1)
    strip = to_html(verdict).partition('aria-label="helpfulness: ')[2].partition("</svg></g></svg>")[0]

    def place(pattern: str) -> float:
        found = re.search(pattern, strip)
        assert found, pattern
        return float(found.group(1))

    floor, limit, zero = (place(rf'class="{name}" x1="([0-9.]+)%') for name in ("floor", "limit", "zero"))
    delta, low, high = (
        place(r'<svg x="([0-9.]+)%'),
        place(r'<g class="\w+"><line x1="([0-9.]+)%'),
        place(r'x2="([0-9.]+)%" y1="15'),
    )
    assert floor < limit < zero
    assert low < delta < high
    assert (delta < zero) == (verdict.deltas["helpfulness"] < 0)


def test_the_page_holds_what_the_verdict_rests_on() -> None:
    verdict = a_measured_verdict(fall=0.3)
    text = Page(to_html(verdict)).text

    for words in (
        "✗ BLOCKED",
        "support-v2 against support-v1: may not serve",
        "Quality",
        "Safety",
        "Slices",
        "What the model could do before",
        "Constraints",
        "Newly broken",
        "Candidate 3 on these golden questions",
        "A model exactly at its limits",
        "People scored both answers",
        "Worst answers",
        "Loss on texts",
        verdict.evidence["fingerprint"],
        verdict.evidence["judge"]["version"],
        "candidate: adapter.safetensors",
        "ab" * 32,
        "order 11",
    ):
        assert words in text
    assert all(words in text for words in (one[:60] for one in verdict.failed_checks))


def test_a_verdict_without_anything_beside_its_metrics_has_a_page_too() -> None:
    verdict = a_measured_verdict()
    bare = {
        name: verdict.evidence[name] for name in ("golden", "candidate", "baseline", "judge", "rule", "metrics", "worst", "notes")
    }

    harmless(Page(to_html(verdict.model_copy(update={"evidence": bare}))))
