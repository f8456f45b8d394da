"""What the documents say is so: their code runs, their commands exist, their links lead somewhere."""

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel
from typer.main import get_command
from typer.testing import CliRunner

import continuum
from continuum.cli import app
from continuum.demo.provider import SimulatedProvider
from continuum.demo.world import World
from continuum.deployment.gateway import metrics
from continuum.errors import DeploymentError
from continuum.policy import TaskPolicy
from continuum.records import Interaction, Message
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "GETTING_STARTED.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
MARKDOWN = [*PAGES, *(page for folder in ("deploy", "examples") for page in sorted((ROOT / folder).rglob("*.md")))]
"""What people read, and every other Markdown file: their links are held to account alike."""
STAGES = ["capture", "feedback", "judging", "curation", "training", "guard", "deployment", "gateway", "watch", "dagster"]
"""The pages of the stages."""
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
STAND_INS = {
    "meta-llama/Llama-3-8B": "{base}",
    "customer_support_golden_v3": "{golden}",
    'judge_model="gpt-4"': 'judge_model="sim-judge"',
    'create(model="gpt-4"': 'create(model="sim-gpt"',
    'serving_backend="vllm"': 'serving_backend="local"',
}
"""What the tour names, and what stands in its place here: a model, a golden set and endpoints that exist."""


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


async def run_block(code: str, namespace: dict[str, Any]) -> None:
    """Run a block as a notebook would: `await` is allowed at its top."""
    compiled = compile(code, "tour.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(compiled, namespace)  # noqa: S307 - the project's own documentation
    if inspect.isawaitable(outcome):
        await outcome


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_is_python(page: Path) -> None:
    for block in blocks(page):
        compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def links(page: Path) -> list[str]:
    """Where a page's links lead, those in code left out."""
    return LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a link to a place in a page may name: each heading in the form that both GitHub and MkDocs give it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in words}


def by_path(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", MARKDOWN, ids=by_path)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {link}: {there.name} has no such heading"


@pytest.mark.parametrize("page", MARKDOWN, ids=by_path)
def test_every_link_to_elsewhere_is_a_sound_address(page: Path) -> None:
    for link in links(page):
        if link.startswith("http"):
            parts = urlsplit(link)
            assert parts.hostname, f"{page.name}: {link} has no host"
            assert "." in parts.hostname or parts.hostname == "localhost", f"{page.name}: {link} has no host"
            assert parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1"}, f"{page.name}: {link} is plain http"
            assert "@" not in parts.netloc, f"{page.name}: {link} holds a login"


def commands() -> Iterator[list[str]]:
    """Every command of the command line, sub-commands in full."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        children = getattr(command, "commands", {})
        yield [name]
        yield from ([name, child] for child in children)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])

    assert result.exit_code == 0
    assert "Usage" in result.output


def test_every_command_the_documents_name_exists() -> None:
    known = {command[0] for command in commands()}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^\$ |`)continuum ([a-z]+)", text, re.MULTILINE))
        assert named <= known, f"{page.name} names {sorted(named - known)}"


def test_every_make_target_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, f"{page.name} names {sorted(named - targets)}"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_tour_runs_from_top_to_bottom(
    store: Store, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    async with SimulatedProvider(seed=0) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none-is-needed")
        monkeypatch.setenv("CONTINUUM_JUDGE_MODEL", "sim-judge")
        await asyncio.to_thread(fill, store, world)

        async def my_llm_call(message: str) -> str:
            return f"You said: {message}"

        namespace: dict[str, Any] = {"my_llm_call": my_llm_call}
        for block in blocks(ROOT / "docs" / "tour.md"):
            golden = GoldenDataset.latest("customer_support", store=store)
            code = block
            for found, stand_in in STAND_INS.items():
                code = code.replace(found, stand_in.format(base=tiny_base, golden=golden.name if golden else ""))
            if "deployer.deploy(" in code and not namespace["verdict"].approved:
                # So small a model, so briefly tuned, may well be blocked; the deployer must refuse it then.
                with pytest.raises(DeploymentError, match="blocked"):
                    await run_block(code, namespace)
                code = code.replace("model=result.model,", "model=result.model, unguarded=True,")
            await run_block(code, namespace)
        await namespace["openai"].close()

    told = capsys.readouterr().out
    assert "Annotated" in told
    assert re.search(r"Dataset: \d+ examples from \d+ interactions", told)
    assert re.search(r"Loss: \d+\.\d+ \(was \d+\.\d+\)", told)
    assert "Canary at: 5%" in told
    assert "v1" in told


def fill(store: Store, world: World) -> None:
    """A few days of traffic before the tour begins."""
    import random

    rng = random.Random(0)
    questions = world.traffic(rng, 240, "shop")
    store.tasks.register(TaskPolicy(task="customer_support", provider_terms_accepted=True))
    store.interactions.add(
        Interaction(
            task="customer_support",
            conversation_id=f"conversation-{number}",
            messages=(Message(role="user", content=question.text),),
            response=Message(role="assistant", content=world.production_answer(question.text, rng)),
            model="gpt-4",
        )
        for number, question in enumerate(questions)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_is_unfinished(page: Path) -> None:
    unfinished = re.findall(r"@@\w+@@|TODO|FIXME|TBD", page.read_text(encoding="utf-8"))
    assert not unfinished


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_of_a_stage_says_what_to_turn_and_where_it_ends(stage: str) -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / f"{stage}.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert "Tuning" in headings
    assert {"Limits", "Its limits", "What it does not see", "What it does not do", "What to expect"} & set(headings)


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting of a policy by its full name, sections included."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")


def test_every_setting_the_documents_name_exists() -> None:
    known = set(fields(TaskPolicy))
    sections = "|".join(sorted({name.partition(".")[0] for name in known if "." in name}))
    named = re.compile(rf"[ `']((?:{sections})(?:\.[a-z_]+)+)(?==|`)")
    for page in PAGES:
        found = {name for name in named.findall(page.read_text(encoding="utf-8")) if not re.search(r"\.(yaml|json|py|md)$", name)}
        assert found <= known, f"{page.name} names {sorted(found - known)}"


def test_every_variable_the_documents_name_is_read_somewhere() -> None:
    sources = [*(ROOT / "continuum").rglob("*.py"), *(ROOT / "continuum_pipelines").rglob("*.py"), *(ROOT / "deploy").rglob("*")]
    sources += [ROOT / "compose.yaml", *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    texts = "".join(path.read_text(encoding="utf-8", errors="replace") for path in sources if path.is_file())
    read = set(re.findall(r"CONTINUUM_[A-Z0-9_]+", texts))
    for page in PAGES:
        named = set(re.findall(r"CONTINUUM_[A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8")))
        assert named <= read, f"{page.name} names {sorted(named - read)}"


def test_every_metric_the_documents_name_is_counted() -> None:
    text = Path(inspect.getfile(metrics)).read_text(encoding="utf-8")
    counted = set(re.findall(r'"(continuum_gateway_[a-z_]+)"', text))
    for page in PAGES:
        named = set(re.findall(r"continuum_gateway_[a-z_]*[a-z]", page.read_text(encoding="utf-8")))
        assert {name.removesuffix("_total") for name in named} <= counted, f"{page.name} names {sorted(named - counted)}"


def test_the_first_page_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in {command[0] for command in commands()}:
        assert re.search(rf"continuum (\w+\|)*{name}\b|`{name}`", text), f"the README does not say what {name} is for"


def test_every_public_name_is_in_the_reference_and_says_what_it_is() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: continuum\.(\w+)$", reference, re.MULTILINE)

    assert sorted(shown) == sorted(continuum.__all__)
    for name in continuum.__all__:
        assert inspect.getdoc(getattr(continuum, name)), f"{name} has no docstring"


def test_every_page_is_reached_from_the_index_by_links() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not re.match(r"\w+:|#", link)]
        waiting += [target for target in targets if target.suffix == ".md"]
    unreached = {by_path(page) for page in PAGES} - {by_path(page) for page in reached}
    assert not unreached, f"no link leads from the index to {sorted(unreached)}"


class Loaded(HTMLParser):
    """What a page makes a browser fetch, and what its stylesheets would."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") not in {"stylesheet", "icon", "preload", "modulepreload"}:
            return
        if address := given.get("href" if tag == "link" else "src"):
            self.addresses.append(address)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    built = subprocess.run(
        [mkdocs, "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr

    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert not [one for one in loaded.addresses if re.match(r"(https?:)?//", one)], page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name
    reference = (tmp_path / "site" / "reference.html").read_text(encoding="utf-8")
    for name in continuum.__all__:
        assert f'id="continuum.{name}"' in reference, f"{name} is not rendered"
