import io
import json
import os
import pickle  # noqa: TID251 - written here, never read
import tarfile
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import StoreError
from continuum.provenance.plain_files import is_pickle, require_no_pickle
from tests.builders import safetensors_bytes

PICKLABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from([Fraction(1, 3), datetime(2026, 1, 1, tzinfo=UTC), OrderedDict(a=1), os.path.join, Path("x")]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.sets(st.integers()),
    max_leaves=20,
)


@settings(max_examples=300)
@given(PICKLABLE, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_a_pickle_of_anything_in_any_protocol_is_known_by_its_bytes(value: Any, protocol: int):
    assert is_pickle(pickle.dumps(value, protocol=protocol))
    assert is_pickle(pickle.dumps(value, protocol=protocol) + b"and more behind it")


@settings(max_examples=300)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_never_taken_for_a_pickle(value: Any):
    held = {"value": value}
    assert not is_pickle(json.dumps(held).encode())
    assert not is_pickle(json.dumps([held], indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "#version: 0.2\nI n\nt h",
        "Note: see above.",
        "In 2026.",
        "Send it.\nVery well.",
        "(a) first. (b) second.",
        "{{ x }}",
        "a\nb\n",
    ],
)
def test_words_are_no_pickle(text: str):
    assert not is_pickle(text.encode())


def test_a_pickle_longer_than_what_is_looked_at_is_one_still(tmp_path: Path):
    (tmp_path / "notes.txt").write_bytes(pickle.dumps("x" * 3_000_000, protocol=0))

    with pytest.raises(StoreError, match=r"notes\.txt is a pickle"):
        require_no_pickle(tmp_path)


@pytest.mark.parametrize("ending", [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".PT"])
def test_a_name_that_some_loader_unpickles_is_refused_whatever_is_in_it(tmp_path: Path, ending: str):
    (tmp_path / f"weights{ending}").write_text("{}")

    with pytest.raises(StoreError, match=rf"weights\{ending} may be a pickle"):
        require_no_pickle(tmp_path)


def _zipped() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return written.getvalue()


def _tarred() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    return written.getvalue()


def _array(values: list[Any], dtype: type) -> bytes:
    written = io.BytesIO()
    np.save(written, np.array(values, dtype=dtype), allow_pickle=True)
    return written.getvalue()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (_zipped(), "is an archive"),
        (_tarred(), "is an archive"),
        (b"\x1f\x8b\x08\x00", "is an archive"),
        (_array([{}], object), "array of pickled objects"),
        (pickle.dumps({"a": 1}, protocol=0), "is a pickle"),
        (pickle.dumps({"a": 1}, protocol=2), "is a pickle"),
    ],
)
def test_a_pickle_under_an_innocent_name_is_refused(tmp_path: Path, content: bytes, fault: str):
    (tmp_path / "vocab.txt").write_bytes(content)

    with pytest.raises(StoreError, match=f"vocab.txt {fault}" if fault.startswith("is") else fault):
        require_no_pickle(tmp_path)


def test_plain_files_pass(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(b"weights"))
    (tmp_path / "empty.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "inner" / "template.jinja").write_text("{% for message in messages %}{{ message }}{% endfor %}")
    (tmp_path / "numbers.npy").write_bytes(_array([1, 2], float))
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>")
    (tmp_path / "nothing.txt").write_bytes(b"")
    (tmp_path / "same.json").symlink_to(tmp_path / "nothing.txt")

    require_no_pickle(tmp_path)


@settings(max_examples=200)
@given(st.data())
def test_a_safetensors_file_of_another_length_than_its_header_says_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    folder = tmp_path_factory.mktemp("cut")
    whole = safetensors_bytes(b"weights")
    cut = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(st.sampled_from([whole[:cut], whole + b"more"]))
    (folder / "w.safetensors").write_bytes(changed)

    with pytest.raises(StoreError, match=r"w\.safetensors is no safetensors file"):
        require_no_pickle(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a":1}',
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}}',
        b'{"a":{"dtype":"OBJECT","shape":[4],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}',
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        b"\xff" * 10,
        b"[" * 100_000,
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path, header: bytes):
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")

    with pytest.raises(StoreError, match="is no safetensors file"):
        require_no_pickle(tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "outside.json").write_text("{}")
    for target in (tmp_path / "outside.json", tmp_path):
        folder = tmp_path / f"held-{target.name}"
        folder.mkdir()
        (folder / "config.json").symlink_to(target)

        with pytest.raises(StoreError, match=r"config\.json is a link that leads out"):
            require_no_pickle(folder)


@pytest.mark.parametrize("name", ["..\\config.json", "config\n.json"])
def test_a_name_that_means_another_file_elsewhere_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_text("{}")

    with pytest.raises(StoreError, match="name that means another file"):
        require_no_pickle(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "config.json")

    with pytest.raises(StoreError, match="is not a regular file"):
        require_no_pickle(tmp_path)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(StoreError, match="nowhere cannot be looked through"):
        require_no_pickle(tmp_path / "nowhere")
