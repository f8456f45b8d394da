"""The label page as a person uses it, in a real browser."""

import asyncio
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from continuum.annotation.label_page.server import LabelPage
from continuum.annotation.labelling import Labelling
from continuum.records import Annotation, Message
from continuum.store.database import Store
from tests.annotation.label_items import asked, judge
from tests.builders import an_interaction, interactions, user

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed; apt-get install chromium, or name one in CHROMIUM"
)
HOSTILE = (
    "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
    "<b>not bold</b> \x1b[31m\u202eturned round\u200b &amp;"
)


@contextmanager
def serving(store: Store, port: int = 0, labeller: str = "ada", queue: Any = "audit") -> Iterator[LabelPage]:
    """The page, served from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait_for(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    page = LabelPage(Labelling(store, "support", queue, labeller=labeller), port=port)
    wait_for(page.__aenter__())
    try:
        yield page
    finally:
        wait_for(page.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[..., "Page"]]:
    """Opens pages; a script error on one of them is a failure."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def opened(url: str, width: int = 1280, height: int = 800, scheme: Any = "light") -> "Page":
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.set_default_timeout(15_000)
            page.goto(url)
            page.wait_for_selector("#queues button")
            return page

        yield opened
        chromium.close()
    assert errors == []


def artifacts(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("CONTINUUM_TEST_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_labels_by_keys_alone(store: Store, browser: Callable[..., "Page"], tmp_path: Path, scheme: str) -> None:
    from playwright.sync_api import expect

    call = {"id": "c", "type": "function", "function": {"name": "find_order", "arguments": '{"order":"4417"}'}}
    said = (user("Where is it?"), Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]}))
    rows = [an_interaction(messages=said, answer="It arrives on Monday."), *interactions(2)]
    asked(store, rows)
    judge(store, rows)
    with serving(store) as served:
        page = browser(served.url, scheme=scheme)
        expect(page.locator("#conversation")).to_contain_text("find_order")
        expect(page.locator("#conversation pre")).to_have_text('{\n  "order": "4417"\n}')
        expect(page.locator("#work")).not_to_contain_text("Says Monday without")
        page.screenshot(path=artifacts(tmp_path) / f"label-{scheme}-before.png")

        page.keyboard.press("c")
        expect(page.locator("textarea")).to_have_value("It arrives on Monday.")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("Or 3 on Tuesday.")
        page.screenshot(path=artifacts(tmp_path) / f"label-{scheme}-correcting.png")
        page.keyboard.press("Enter")
        expect(page.locator("ins")).to_contain_text("Or 3 on Tuesday.")
        page.keyboard.press("n")
        page.keyboard.type("5 is too much")
        page.keyboard.press("Enter")
        page.keyboard.press("2")

        expect(page.locator("#judge")).to_contain_text("Says Monday without knowing it.")
        expect(page.locator("#queues")).to_contain_text("1 of 3")
        page.screenshot(path=artifacts(tmp_path) / f"label-{scheme}-voted.png")
        (verdict,) = store.feedback.of(rows[:1])[rows[0].id]
        assert (verdict.score, verdict.comment) == (2, "5 is too much")
        assert verdict.correction == "It arrives on Monday.\nOr 3 on Tuesday."

        page.keyboard.press("4")  # after the vote a digit does nothing
        page.keyboard.press("Enter")
        expect(page.locator("#answer")).to_contain_text("Parcel 0 takes")
        page.keyboard.press("s")
        expect(page.locator("#answer")).to_contain_text("Parcel 7 takes")
        page.keyboard.press("u")
        expect(page.locator("#answer")).to_contain_text("Parcel 0 takes")
        page.keyboard.press("Space")
        expect(page.locator("#answer")).to_contain_text("Parcel 7 takes")
        page.keyboard.press("5")
        expect(page.locator("#judge")).to_contain_text("3.4")
        page.keyboard.press("ArrowRight")
        expect(page.locator("h1")).to_have_text("Nothing is left for you in the audit queue")
        page.keyboard.press("q")
        expect(page.locator("h1")).to_have_text("The useful queue is empty")
        expect(page.locator("code")).to_have_text("continuum annotate support")
        page.keyboard.press("q")
        expect(page.locator("h1")).to_have_text("The anchor queue is empty")
        page.keyboard.press("q")
        expect(page.locator("h1")).to_have_text("The golden queue is empty")
        page.keyboard.press("q")
        expect(page.locator("h1")).to_contain_text("Nothing is left")
        page.keyboard.press("a")
        expect(page.locator("#figures")).to_contain_text("ada")
        page.screenshot(path=artifacts(tmp_path) / f"label-{scheme}-agreement.png")
    assert store.reviews.count("support", "audit", "ada", overlap=2).verdicts == {"ada": 2}


@needs_chromium
@pytest.mark.slow
def test_captured_text_is_text_and_runs_nothing(store: Store, browser: Callable[..., "Page"]) -> None:
    from playwright.sync_api import expect

    call = {"id": "c", "type": "function", "function": {"name": "<i>x</i>", "arguments": f"not json {HOSTILE}"}}
    rows = [
        an_interaction(
            messages=(
                Message.model_validate({"role": "<script>1</script>", "name": HOSTILE, "content": HOSTILE}),
                Message.model_validate({"role": "__proto__", "content": None, "tool_calls": [call]}),
            ),
            answer=HOSTILE,
        )
    ]
    asked(store, rows)
    store.annotations.add([
        Annotation(interaction_id=rows[0].id, task="support", judge=HOSTILE, rubric="r", overall=1.0, scores={"a": 1.0},
                   reasons={"a": HOSTILE})
    ])  # fmt: skip
    with serving(store) as served:
        page = browser(served.url)
        expect(page.locator("#answer")).to_contain_text("<b>not bold</b> ⟨U+001B⟩[31m⟨U+202E⟩turned round⟨U+200B⟩ &amp;")
        page.keyboard.press("c")
        page.keyboard.press("End")
        page.keyboard.type(" <u>mine</u>")
        page.keyboard.press("Enter")
        expect(page.locator("ins")).to_contain_text("<u>mine</u>")
        page.keyboard.press("1")
        expect(page.locator("#judge")).to_contain_text("onerror=")

        assert page.locator("main :is(img, script, b:not(.score b), i, u)").count() == 0
        assert "pwned" not in page.title()
        # Even a script that found a way in could not be run, nor reach another server.
        inject = "() => { try { document.body.innerHTML = '<p>x</p>'; return 'set' } catch { return 'refused' } }"
        assert page.evaluate(inject) == "refused"
        assert page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    (verdict,) = store.feedback.of(rows)[rows[0].id]
    assert "<u>mine</u>" in verdict.correction
    assert "\u202e" not in verdict.correction


@needs_chromium
@pytest.mark.slow
def test_a_server_that_is_gone_costs_nothing_that_was_typed(store: Store, browser: Callable[..., "Page"]) -> None:
    from playwright.sync_api import expect

    rows = interactions(2)
    asked(store, rows)
    with serving(store) as served:
        page = browser(served.url)
        page.keyboard.press("c")
        page.keyboard.type(" And a word.")
        page.keyboard.press("Enter")
        page.keyboard.press("n")
        page.keyboard.type("half a thought")
        page.keyboard.press("Enter")
    page.keyboard.press("3")
    expect(page.locator("#trouble")).to_contain_text("does not answer")
    expect(page.locator("ins")).to_contain_text("And a word.")

    with serving(store, port=served.port) as anew:
        page.keyboard.press("r")
        expect(page.locator("#trouble")).to_contain_text("prints a new one")
        page.goto(anew.url)
        expect(page.locator("ins")).to_contain_text("And a word.")
        expect(page.locator("#comment")).to_have_value("half a thought")
        page.route("**/api/vote", lambda route: route.abort(), times=1)
        page.keyboard.press("3")
        expect(page.locator("#trouble")).to_be_visible()
        page.keyboard.press("r")
        expect(page.locator("#actions")).to_contain_text("Vote and correction stored")
    (verdict,) = store.feedback.of(rows)[rows[0].id]
    assert (verdict.score, verdict.comment) == (3, "half a thought")
    assert verdict.correction.endswith("And a word.")


@needs_chromium
@pytest.mark.slow
def test_an_answer_given_in_another_window_is_told_and_what_was_typed_stays_in_sight(
    store: Store, browser: Callable[..., "Page"]
) -> None:
    from playwright.sync_api import expect

    rows = interactions(2)
    asked(store, rows)
    with serving(store) as served:
        one, other = browser(served.url), browser(served.url)
        one.keyboard.press("n")
        one.keyboard.type("my thought")
        one.keyboard.press("Enter")
        other.keyboard.press("5")
        expect(other.locator("#actions")).to_contain_text("Vote stored")
        one.keyboard.press("1")
        expect(one.locator("#trouble")).to_contain_text("has scored this item 5 in another window")
        expect(one.locator("#comment")).to_have_value("my thought")
        one.keyboard.press("r")
        expect(one.locator("#answer")).to_contain_text("Parcel 7 takes")
        expect(one.locator("#trouble")).to_be_hidden()
    assert [said.score for said in store.feedback.of(rows)[rows[0].id]] == [5]


@needs_chromium
@pytest.mark.slow
def test_an_undone_vote_comes_back_with_its_words(store: Store, browser: Callable[..., "Page"]) -> None:
    from playwright.sync_api import expect

    rows = interactions(1)
    asked(store, rows)
    with serving(store) as served:
        page = browser(served.url)
        page.keyboard.press("c")
        page.keyboard.type(" Write to jo@example.com.")
        page.keyboard.press("Enter")
        page.keyboard.press("2")
        expect(page.locator("#answer")).to_contain_text("with personal data taken out")
        expect(page.locator("ins")).to_contain_text("[EMAIL]")
        page.keyboard.press("u")
        expect(page.locator("#actions")).to_contain_text("Correct again")
        expect(page.locator("ins")).to_contain_text("[EMAIL]")
        page.keyboard.press("3")
        expect(page.locator("#actions")).to_contain_text("stored")
    (verdict,) = store.feedback.of(rows)[rows[0].id]
    assert (verdict.score, verdict.correction.endswith("Write to [EMAIL].")) == (3, True)


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_wider_than_the_window_and_the_scores_are_in_sight(
    store: Store, browser: Callable[..., "Page"], tmp_path: Path, width: int
) -> None:
    rows = [an_interaction("word " * 900 + "x" * 400, "answer " * 700 + "y" * 400), *interactions(1)]
    asked(store, rows)
    judge(store, rows)
    with serving(store) as served:
        page = browser(served.url, width=width, height=700)
        page.wait_for_selector(".answer")
        for key in (None, "3", "?"):
            if key:
                page.keyboard.press(key)
                page.wait_for_selector({"3": ".verdict", "?": "#keys[open]"}[key])
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            box = page.locator("footer").bounding_box()
            assert box["y"] + box["height"] <= 701
        page.screenshot(path=artifacts(tmp_path) / f"label-{width}.png")


@pytest.mark.slow
def test_the_command_serves_on_loopback_and_ends_when_told(store: Store) -> None:
    asked(store, interactions(1))
    command = [str(Path(sys.executable).with_name("continuum")), "label", "support", "--page", "--port", "0", "--as", "Ada"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("label support as ada at http://127.0.0.1:")
        address = urlsplit(line.split()[-1])
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        connection.request("GET", f"{address.path}api/next")
        assert json.loads(connection.getresponse().read())["question"]["queue"] == "audit"
        connection.close()
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
