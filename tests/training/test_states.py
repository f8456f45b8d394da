import errno
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from continuum.errors import StoreError
from continuum.training.states import KEPT, States, is_full, random_state, require_room, room_on_disk, set_random_state


def saved(folder: Path, *steps: int) -> States:
    states = States(folder)
    for step in steps:
        states.save(step, {"adapter": {"a": torch.full((3,), float(step))}, "none": {}}, {"watch": {"first_loss": 0.1 + step}})
    return states


def test_a_state_comes_back_as_it_was(tmp_path: Path):
    state = saved(tmp_path, 7).newest()

    assert state is not None
    assert state.step == 7
    assert torch.equal(state.tensors("adapter")["a"], torch.full((3,), 7.0))
    assert state.values("watch") == {"first_loss": 7.1}
    assert state.tensors("none") == {}


def test_only_the_newest_are_kept_and_none_is_a_pickle(tmp_path: Path):
    saved(tmp_path, 1, 2, 3, 10)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000003", "00000010"]
    assert KEPT == 2
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("damage", ["shorter", "altered", "no manifest", "no file", "empty"])
def test_a_damaged_state_is_passed_over_for_the_one_before(tmp_path: Path, damage: str):
    states = saved(tmp_path, 1, 2)
    path = tmp_path / "00000002" / "adapter.safetensors"
    if damage == "shorter":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "altered":
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    elif damage == "no manifest":
        (tmp_path / "00000002" / "manifest.json").unlink()
    elif damage == "no file":
        path.unlink()
    else:
        shutil.rmtree(tmp_path / "00000002")
        (tmp_path / "00000002").mkdir()

    newest = states.newest()
    assert newest is not None
    assert newest.step == 1
    states.save(2, {"adapter": {"a": torch.ones(1)}}, {})
    assert (again := states.newest()) is not None
    assert again.step == 2


def test_what_a_kill_left_unfinished_is_never_looked_at_and_then_removed(tmp_path: Path):
    left = tmp_path / "00000005.part"
    left.mkdir(parents=True)
    (left / "adapter.safetensors").write_bytes(b"half")
    states = States(tmp_path)

    assert states.newest() is None
    saved(tmp_path, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["00000006"]


def test_states_that_led_to_divergence_can_be_dropped(tmp_path: Path):
    states = saved(tmp_path, 4, 5)
    states.drop_from(5)

    newest = states.newest()
    assert newest is not None
    assert newest.step == 4


def test_the_random_generators_go_on_where_they_were(tmp_path: Path):
    tensors, values = random_state()
    States(tmp_path).save(1, {"random": tensors}, {"random": values})
    expected = (torch.rand(2).tolist(), random.random(), np.random.random())
    state = States(tmp_path).newest()
    assert state is not None

    set_random_state(state.tensors("random"), state.values("random"))

    assert (torch.rand(2).tolist(), random.random(), np.random.random()) == expected


def test_a_full_disk_says_what_is_free_and_what_is_needed(tmp_path: Path):
    with pytest.raises(StoreError, match=r"MB are free there and up to 5\.0 MB are needed"), room_on_disk(tmp_path, 5_000_000):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), room_on_disk(tmp_path, 1):
        (tmp_path / "missing").read_text()
    with pytest.raises(StoreError, match="are needed"):
        require_room(tmp_path, 1 << 60)
    assert not is_full(OSError(errno.EACCES, "no"))
