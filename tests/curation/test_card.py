"""The card of a version: what it says, what it never lets captured text do, and that loaders understand it."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from continuum.curation.card import card_of, write_card
from continuum.curation.findings import funnel
from continuum.dataset import Dataset
from continuum.excerpts import LENGTH, excerpt, prose, quoted
from tests.test_dataset import a_version

ATTACKS = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "![x](https://evil.example/pixel.png)",
    "[click](javascript:alert(1)) www.evil.example https://evil.example me@evil.example",
    "a | b | c\n| - | - |",
    "`code` ``two`` \\` \\\\`",
    "end`<script>`",
    "---\nconfigs:\n- config_name: default\n  data_files: /etc/passwd\n---",
    "\n# Heading\n\n- item\n\n    code",
    "\u202etxet\u200b \x1b[31mred\x1b[0m \x07 \x00 \ud83d half",
    "&lt;b&gt; &#60;script&#62; $x$ ~~no~~ ==yes==",
    "x" * 100_000,
    "\\",
    "",
)


def described(**fields: Any) -> Dataset:
    version = a_version()
    classes = [
        {"label": "0", "words": ["where is it"], "eligible": 7, "selected": 2, "control": 1, "score_selected": 4.5},
        {"label": "1", "words": [], "eligible": 3, "selected": 0, "control": None, "score_selected": None},
    ]
    version.manifest |= {
        "counts": {
            "seen": 40,
            "golden": 8,
            "below_quality": 12,
            "near_duplicates": 10,
            "eligible": 10,
            "selected": 3,
            "train": 2,
        },
        "score_histogram": {"4": 12, "5": 8},
        "coverage": {
            "words": "1 of 2 clusters have an example",
            "by": "cluster",
            "classes": classes,
            "share": 0.5,
            "traffic_share": 0.7,
            "random_share": 0.6,
            "lost": ["1"],
        },
        "decontamination": {"words": "nothing here repeats a golden question", "exact": 0},
        "generations": {"words": "this line wrote 1 of 3", "eligible": {"0": 8, "2": 2}},
        "duplicates": {"words": "10 gave way"},
        "models": {"gpt-4": 3},
        "notes": ["3 of 3 scores are those of the judge gpt-4: uncalibrated: 0 of 50 audit labels"],
    } | fields
    return version


def attacked(text: str) -> Dataset:
    """A version with one captured text wherever captured text can come to stand."""
    one = {"label": text, "words": [text, text], "eligible": 7, "selected": 2, "control": 1, "score_selected": 4.0}
    report = {"words": text, "by": "intent", "classes": [one], "lost": [text], "because": text, "table": {text: 3}, "name": text}
    return described(
        **dict.fromkeys(("coverage", "decontamination", "generations", "duplicates", "control", "preferences"), report),
        models={text: 3},
        notes=[text],
        created_at=text,
        config={"embedder": text, "intent_tag": text},
    )


def page_of(markdown: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def rendered(card: str) -> str:
    return page_of(card.split("\n---\n", 1)[1])


def linked(markdown: str) -> list[str]:
    """What GitHub would make a link of though nobody wrote one."""
    return re.findall(r"(?:https?|ftp)://|www\.", re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL), re.IGNORECASE)


def test_a_card_says_what_a_stranger_asks() -> None:
    card = card_of(described())

    for said in (
        "3 training examples of the task `support`, chosen from 9 captured interactions",
        "| `preferences.parquet` | 1 |",
        "| without below quality | 20 |",
        "1 of 2 clusters have an example. 70% of the traffic asks for a class that has one. Without one: 1.",
        "| near duplicates | 10 | nearly the same text |",
        "nothing here repeats a golden question",
        "`support_control_v3`",
        "uncalibrated: 0 of 50 audit labels",
        "The terms of some providers forbid training",
        "`continuum forget` takes out of this version what somebody asks to be forgotten",
    ):
        assert said in card, said


def test_the_funnel_ends_with_what_was_selected() -> None:
    assert funnel(described()) == [
        ("seen", 40),
        ("without golden", 32),
        ("without below quality", 20),
        ("without near duplicates", 10),
        ("selected", 3),
    ]


def test_a_version_that_says_little_has_a_card_all_the_same(tmp_path: Path) -> None:
    bare = Dataset((), {"task": "support", "name": "support_training_v1", "fingerprint": "f" * 64, "source_interactions": 0})

    assert "no examples" in write_card(bare, tmp_path).read_text()


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_captured_text_is_neither_markup_nor_link_nor_front_matter(attack: str) -> None:
    clean, hostile = card_of(attacked("plain")), card_of(attacked(attack))
    page = rendered(hostile)

    assert set(re.findall(r"<(/?\w+)", page)) <= set(re.findall(r"<(/?\w+)", rendered(clean)))
    assert page.count("<td") == rendered(clean).count("<td")
    assert page.count("<h2") == rendered(clean).count("<h2")
    assert "<a " not in page
    assert not linked(hostile)
    assert hostile.split("\n---\n", 1)[0] == clean.split("\n---\n", 1)[0]
    assert len(hostile) < 3 * len(clean) + 40 * LENGTH
    hostile.encode("utf-8")
    assert not set(hostile) & set("\x1b\x00\x07\u202e\u200b")


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(), max_size=300))
def test_no_text_gets_out_of_its_quotes(text: str) -> None:
    assert len(excerpt(text)) <= LENGTH
    assert set(re.findall(r"<[^>]*>", page_of(f"say {quoted(text)}."))) <= {"<p>", "</p>", "<code>", "</code>"}
    assert set(re.findall(r"<[^>]*>", page_of(f"say {prose(text)}."))) <= {"<p>", "</p>"}


def test_sentences_read_as_they_stand() -> None:
    said = "*1* of 3 <b>were</b> http://x.y/z [left](out) by `gpt_4` & $5|$6"
    page = page_of(prose(said))

    assert unescape(re.sub(r"<[^>]*>", "", page).strip()) == said


def test_equal_versions_have_equal_cards_and_pictures(tmp_path: Path) -> None:
    first, second = (write_card(described(), tmp_path / name).parent for name in ("a", "b"))

    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert [str(file) for file in files] == [
        "README.md",
        "plots/coverage.png",
        "plots/funnel.png",
        "plots/generations.png",
        "plots/scores.png",
    ]
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_every_table_loads_with_hugging_face_and_with_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "v3"
    version = described()
    write_card(version, folder)
    version.write(folder)

    rows = {
        name: {side: part.to_list() for side, part in datasets.load_dataset(str(folder), name, cache_dir=tmp_path / "c").items()}
        for name in ("default", "preferences", "rated_answers", "control", "removed")
    }

    assert {name: {side: len(part) for side, part in sides.items()} for name, sides in rows.items()} == {
        "default": {"train": 2, "validation": 1},
        "preferences": {"train": 1, "validation": 1},
        "rated_answers": {"train": 2},
        "control": {"train": 1, "validation": 1},
        "removed": {"train": 1},
    }
    assert rows["default"]["train"][0]["messages"][0] == {"role": "user", "content": "a"}
    assert rows["preferences"]["train"][0]["rejected"] == [{"role": "assistant", "content": "No idea."}]
    assert [row["label"] for row in rows["rated_answers"]["train"]] == [False, True]
    assert polars.read_parquet(folder / "examples*.parquet").height == 3
    assert json.loads((folder / "manifest.json").read_text())["files"] == version.files
