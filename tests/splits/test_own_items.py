"""Files of golden items: what can be one is kept, what cannot is refused by its line."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from continuum.errors import ConfigurationError
from continuum.splits.golden import GoldenDataset
from continuum.splits.own_items import LONGEST_LINE, read_items
from tests.builders import NOON, assistant, user


def a_file(folder: Path, *lines: Any, name: str = "items.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_a_line_says_what_is_asked_and_what_else_is_known(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        {
            "question": "Where is it?",
            "reference": "In Bonn.",
            "slice": " towns ",
            "kind": "capability",
            "checker": {"contains": "Bonn"},
            "group": "towns",
            "asked_at": "2026-01-02T03:04:05Z",
        },
        b"",
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], "reference": None},
    )

    items = {item.prompt: item for item in read_items(path).items}

    asked = items["Where is it?"]
    assert (asked.messages, asked.reference, asked.slice, asked.kind) == (
        (user("Where is it?"),),
        assistant("In Bonn."),
        "towns",
        "capability",
    )
    assert asked.checker is not None
    assert asked.checker.passes("", "it is in bonn")
    assert (asked.group, asked.own, asked.confirmed, asked.production) == ("own-towns", True, True, None)
    assert items["Hi"].group == items["Hi"].interaction_id
    assert items["Hi"].messages[0].role == "system"


BAD = [
    (b"{", "not JSON"),
    (b'{"question": "\xff"}', "not JSON"),
    (b"[1]", "no object"),
    ({"question": "Why?", "messages": [{"role": "user", "content": "Why?"}]}, "either a question or messages"),
    ({"reference": "x"}, "either a question or messages"),
    ({"question": ["Why?"]}, "no text"),
    ({"question": "  "}, "nobody asks"),
    ({"messages": []}, "nobody asks"),
    ({"messages": "Why?"}, "no list"),
    ({"messages": ["Why?"]}, "no object with a role"),
    ({"messages": [{"content": "Why?"}]}, "role"),
    ({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}, "end with an answer"),
    ({"question": "Why?", "reference": ""}, "no answer"),
    ({"question": "Why?", "reference": {"role": "user", "content": "x"}}, "no answer"),
    ({"question": "Why?", "kind": "secret"}, "kind"),
    ({"question": "Why?", "checker": {"matches": "(x*)*"}}, "very long"),
    ({"question": "Why?", "checker": {"exec": "1"}}, "exec"),
    ({"question": "Why?", "checker": "yes"}, "checker|Checker|dictionary|instance"),
    ({"question": "Why?", "slice": "a\nb"}, "slice"),
    ({"question": "Why?", "group": ""}, "group"),
    ({"question": "Why?", "intent": "x"}, "no field 'intent'"),
    ({"question": "Why?", "asked_at": "2026-01-02"}, "asked_at"),
    (b'{"question": "\\ud800"}', "surrogate|codec"),
    ({"question": "x" * LONGEST_LINE}, "longer than"),
    (b'{"messages": ' + b"[" * 100_000, "not JSON"),
    ({"question": "where IS it?"}, "stands in items.jsonl line 1"),
    ({"question": "Do \x00 you?"}, "surrogate pair in its messages"),
    ({"question": "Do you?", "reference": "\x00"}, "surrogate pair in its reference"),
    ({"question": "Do you?", "slice": "a\x00b"}, "its slice is no name"),
    ({"question": "Do you?", "checker": {"contains": ["\x00y"]}}, "surrogate pair in its checker"),
    (b'{"question": "Do you?", "checker": {"contains": "\\udfff y"}}', "surrogate pair in its checker, which"),
    ({"messages": [{"role": "user", "content": "Do you?", "name": "\x00"}]}, "surrogate pair in its messages"),
    ({"question": "x" * 200_000}, "have 200,033 characters, at most 100,000"),
    ({"question": "Do you?", "reference": "y" * 100_000}, "at most 100,000"),
    ({"question": "Do you?", "asked_at": "9999-12-31T23:59:59Z"}, "must be between 1990 and now"),
    ({"question": "Do you?", "asked_at": "2026-03-02T13:00:00Z"}, "its asked_at is 2026-03-02T13:00:00+00:00"),
    ({"question": "Do you?", "asked_at": "0001-01-01T00:00:00+14:00"}, "must be between 1990"),
    ({"question": "Do you?", "asked_at": 0}, "must be between 1990"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_line_is_refused_by_its_number_and_the_good_ones_are_kept(tmp_path: Path, line: Any, words: str) -> None:
    path = a_file(tmp_path, {"question": "Where is it?"}, line, {"question": "Who is it?"})

    read = read_items(path, now=lambda: NOON)

    assert len(read.items) == 2
    (refused,) = read.refused
    assert refused.place == "items.jsonl line 2"
    assert any(word in refused.reason for word in words.split("|")), refused.reason


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    a_file(tmp_path, {"question": "One?"}, name="a.jsonl")
    a_file(tmp_path, {"question": "Two?"}, {"question": "one?"}, name="b.jsonl")
    (tmp_path / "notes.txt").write_text("no items", encoding="utf-8")

    read = read_items(tmp_path)

    assert len(read.items) == 2
    assert [str(one) for one in read.refused] == ["b.jsonl line 2: the same question stands in a.jsonl line 1"]


def test_a_question_may_have_been_asked_a_little_ahead_of_our_clock(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"question": "Now?", "asked_at": (NOON + timedelta(hours=14)).isoformat()})

    assert read_items(path, now=lambda: NOON).refused == ()


@pytest.mark.parametrize("place", ["/dev/zero", "a\0b"])
def test_what_is_no_file_or_has_no_end_is_not_read(place: str) -> None:
    with pytest.raises(ConfigurationError, match="name a JSONL file of golden items"):
        read_items(place)


def test_of_a_folder_only_files_are_read(tmp_path: Path) -> None:
    a_file(tmp_path, {"question": "One?"}, name="a.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")

    assert len(read_items(tmp_path).items) == 1


def test_a_source_without_one_good_line_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"items\.jsonl line 1: it is not JSON"):
        read_items(a_file(tmp_path, b"{"))
    with pytest.raises(ConfigurationError, match="no line at all"):
        read_items(a_file(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_items(tmp_path / "nowhere.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"no file that ends in \.jsonl"):
        read_items(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="item 1: it is no object"):
        read_items([5])  # pyright: ignore[reportArgumentType]


def test_a_set_of_ones_own_needs_no_store_and_is_the_same_wherever_it_is_read(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"question": "One?", "reference": "1"}, {"question": "Two?"}, b"{")

    golden = GoldenDataset.from_items("support", path)

    assert len(golden) == 2
    assert golden.manifest["refused"][0].startswith("items.jsonl line 3: it is not JSON")
    assert GoldenDataset.from_items("support", path) == golden
    assert GoldenDataset.load(golden.save(tmp_path / "copy")) == golden
    assert GoldenDataset.from_items("support", [{"question": "one?"}]).items[0].interaction_id in {
        item.interaction_id for item in golden
    }
