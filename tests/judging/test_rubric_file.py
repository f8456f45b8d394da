"""A rubric that somebody wrote by hand: what is read, and what is refused with a sentence."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.rubric_file import MOST_BYTES, read_rubric
from continuum.rubric import Criterion

TONE = {"name": "tone", "weight": 2, "description": "Kind", "anchors": {"1": "rude", "5": "warm"}}


def written(tmp_path: Path, content: str | bytes, name: str = "rubric.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_yaml_and_json_make_the_same_rubric(tmp_path: Path) -> None:
    first = "- {name: tone, weight: 2, description: Kind, anchors: {1: rude, 5: warm}}"
    yaml = f"{first}\n- name: truth\n  weight: 1\n  description: So\n"
    plain = [TONE, {"name": "truth", "weight": 1, "description": "So"}]

    one = read_rubric(written(tmp_path, yaml))
    other = read_rubric(written(tmp_path, json.dumps({"criteria": plain}), "rubric.json"))

    assert one == other == (Criterion("tone", 2, "Kind", {1: "rude", 5: "warm"}), Criterion("truth", 1, "So"))
    assert rubric_fingerprint(one) == rubric_fingerprint(other)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "r.yaml", "no list of criteria"),
        ("just words", "r.yaml", "no list of criteria"),
        ("[]", "r.json", "no list of criteria"),
        ("- tone", "r.yaml", "criterion 1: it is the text 'tone'"),
        ("- {name: tone, weight: 1}", "r.yaml", "no description"),
        ("- {name: tone, weight: 1, description: Kind, wait: 1}", "r.yaml", "no field 'wait'"),
        ("- {name: 7, weight: 1, description: Kind}", "r.yaml", "its name is a whole number"),
        ("- {name: a b, weight: 1, description: Kind}", "r.yaml", "criterion 1: criterion name 'a b'"),
        ("- {name: tone, weight: -1, description: Kind}", "r.yaml", "its weight is -1, which is not above zero"),
        ("- {name: tone, weight: 0, description: Kind}", "r.yaml", "its weight is 0, which is not above zero"),
        ("- {name: tone, weight: .inf, description: Kind}", "r.yaml", "its weight is inf"),
        ("- {name: tone, weight: .nan, description: Kind}", "r.yaml", "its weight is nan"),
        ("- {name: tone, weight: 1" + "0" * 400 + ", description: Kind}", "r.yaml", "its weight is a whole number"),
        ("- {name: tone, weight: 1" + "0" * 5000 + ", description: Kind}", "r.yaml", "cannot be read as YAML"),
        ("- {name: tone, weight: yes, description: Kind}", "r.yaml", "its weight is yes or no"),
        ("- {name: tone, weight: 1, description: [Kind]}", "r.yaml", "printable"),
        ('[{"name": "tone", "weight": 1, "description": "\\ud800"}]', "r.json", "printable"),
        ('[{"name": "tone", "weight": 1, "description": "\\u001b[2J"}]', "r.json", "printable"),
        ("- {name: tone, weight: 1, description: Kind, anchors: {6: best}}", "r.yaml", "scores 1 to 5"),
        ("- {name: tone, weight: 1, description: Kind, anchors: {yes: best}}", "r.yaml", "scores 1 to 5"),
        ("- {name: t, weight: 1, description: a}\n- {name: t, weight: 1, description: b}", "r.yaml", "distinct names"),
        ("- !!python/object/apply:os.system ['true']", "r.yaml", "cannot be read as YAML in line 1"),
        ("a: &a [1]\nb: [*a, *a]", "r.yaml", "aliases"),
        ("- {name: tone", "r.yaml", "cannot be read as YAML"),
        ("[" * 20_000, "r.json", "cannot be read as JSON"),
        ("[" * 20_000, "r.yaml", "cannot be read as YAML"),
        ('[{"name": "tone", "name": "t", "weight": 1, "description": "a"}]', "r.json", "stands twice"),
        (b"\xff\xfe\x00", "r.yaml", "cannot be read as YAML"),
        ("#" * (MOST_BYTES + 1), "r.yaml", "more than 65536 bytes"),
        (json.dumps([TONE | {"name": f"t{n}"} for n in range(21)]), "r.json", "21 criteria"),
    ],
)
def test_what_is_no_rubric_is_refused_with_what_to_write(tmp_path: Path, content: str | bytes, name: str, said: str) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(ConfigurationError) as refused:
        read_rubric(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_pipe_a_folder_and_nothing_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing", Path("/dev/zero")):
        with pytest.raises(ConfigurationError, match="is no file"):
            read_rubric(path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*TONE, "x", "criteria"]), inner, max_size=4),
    max_leaves=12,
)


@given(JUNK)
def test_whatever_json_holds_is_a_rubric_or_refused_in_a_line(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.mktemp("rubric") / "rubric.json"
    path.write_text(json.dumps(content))
    told, criteria = "", ()
    try:
        criteria = read_rubric(path)
    except ConfigurationError as refused:
        told = str(refused)
    assert bool(criteria) != bool(told)
    assert not {"\x1b", "\n"} & set(told)
    rubric_fingerprint(criteria)
