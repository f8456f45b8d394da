"""The benchmarks count right. How fast anything is, they say themselves."""

import gzip
import json
import random
import subprocess
import sys
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.capture.__main__ import SUITE
from benchmarks.capture.databases import Database
from benchmarks.capture.kills import Kill, ours_killed, schedule
from benchmarks.capture.sink import closed_port, open_sink
from benchmarks.capture.subjects.calls import Calls, Said
from benchmarks.capture.texts import texts
from benchmarks.claims import Entry, Setting
from benchmarks.running import run
from continuum.records import Interaction, Message
from continuum.store.database import Store, open_store


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A file of what calls say."""
    file = tmp_path / "texts.json"
    file.write_text(json.dumps(texts(None)), "utf-8")
    return file


@pytest.fixture
def setting(tmp_path: Path, said: Path) -> Setting:
    """A benchmark's setting, without peers and without a word."""
    folder = tmp_path / "bench"
    folder.mkdir()
    return Setting(quick=True, folder=folder, texts=said, data=None, seed=0, say=lambda text: None, peers=False)


def test_a_ratio_holds_up_to_its_goal():
    assert Entry.of_ratio("cheap", 1.0, 10.0, 1 / 10).holds
    assert Entry.of_ratio("dear", 1.01, 10.0, 1 / 10).holds is False


def test_a_claim_on_a_peer_that_is_not_there_stays_open():
    entry = Entry.of_ratio("cheap", 1.0, None, 1 / 10)

    assert (entry.peer, entry.ratio, entry.holds) == (None, None, None)


def test_a_claim_on_our_own_figure_needs_no_peer():
    assert Entry.of_value("lost", 0, "==", 0).holds
    assert Entry.of_value("lost", 1, "==", 0, peer=500).holds is False
    assert Entry.of_value("drained", 9_999, ">=", 10_000).holds is False


def test_no_two_calls_say_the_same_and_a_run_can_be_told_again(said: Path):
    calls, again = Calls(str(said), "00000a"), Calls(str(said), "00000a")
    made = [calls.next() for _ in range(1200)]

    assert made == [again.next() for _ in range(1200)]
    assert len({messages[1]["content"].split(" ", 1)[1] for _, messages in made}) == 1200
    assert all(1400 < sum(len(message["content"]) for message in messages) < 1600 for _, messages in made)


async def test_the_captured_function_answers_the_call_it_was_given(said: Path):
    calls, words = Calls(str(said), "00000a"), Said(str(said))
    answer, answer_later = calls.functions()
    for number in range(5):
        _, messages = calls.next()

        assert answer(messages) == await answer_later(messages) == words.reply(number)


def test_texts_come_from_a_folder_of_real_ones_where_there_is_one(tmp_path: Path):
    row = {
        "messages": [{"role": "user", "content": "two seats please"}],
        "response": {"role": "assistant", "content": "row five"},
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")

    assert texts(tmp_path)["first"][0].startswith("two seats please two seats")
    assert texts(tmp_path)["reply"][0].startswith("row five row five")
    assert texts(tmp_path / "nowhere") == texts(None)


def test_the_sink_knows_the_calls_it_was_told_of_compressed_or_not():
    with open_sink() as (sink, url):
        for body, encoding in ((b'{"a": "call-00000a-0000001"}', ""), (gzip.compress(b"\x12call-00000a-0000002\x00"), "gzip")):
            connection = HTTPConnection(url.removeprefix("http://"))
            connection.request("POST", "/v1/traces", body, {"Content-Encoding": encoding})
            assert connection.getresponse().status == 200
            connection.close()

        assert sink.tokens == {"call-00000a-0000001", "call-00000a-0000002"}
        assert sink.requests == 2


def test_a_closed_port_refuses():
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", port).connect()


def test_stored_calls_are_counted_with_those_that_are_there_twice_or_damaged(store: Store, said: Path):
    words = Said(str(said))

    def stored(number: int, reply: str) -> Interaction:
        token = f"call-00000a-{number:07d}"
        messages = (Message(role="system", content="s"), Message(role="user", content=words.user(token, number)))
        return Interaction(task="benchmark", messages=messages, response=Message(role="assistant", content=reply))

    store.interactions.add([stored(1, words.reply(1)), stored(1, words.reply(1)), stored(2, words.reply(2)[:-1])])

    found, damaged = Database("SQLite", str(store.engine.url)).stored_tokens(said)

    assert found == Counter({"call-00000a-0000001": 2, "call-00000a-0000002": 1})
    assert damaged == 1


def test_kills_come_in_threes_and_again_with_the_same_seed():
    plan = schedule(random.Random(7), 30, 5.0)

    assert Counter(kill.kind for kill in plan) == {"capture": 10, "backlog": 10, "drain": 10}
    assert {kill.kind for kill in plan if kill.aimed} == {"capture", "drain"}
    assert plan == schedule(random.Random(7), 30, 5.0)


@pytest.mark.slow
def test_the_kill_harness_counts_what_was_acknowledged(setting: Setting):
    open_store(url := f"sqlite:///{setting.folder / 'store.db'}").close()

    outcome = ours_killed(setting, [Kill("backlog", 0.3), Kill("drain", 0.02)], Database("SQLite", url))

    assert outcome.kills == {"backlog": 1, "drain": 1}
    assert outcome.acknowledged > 100
    assert (outcome.lost, outcome.doubled, outcome.damaged) == (0, 0, 0)


@pytest.mark.slow
def test_the_last_line_is_json_with_an_entry_a_claim(capsys: pytest.CaptureFixture[str]):
    run(SUITE, ["--quick", "--only", "redacting"])

    entries = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(entry.keys() == {"claim", "ours", "peer", "ratio", "goal", "holds"} for entry in entries)
    assert entries


def test_programs_under_measurement_start_without_anything_of_ours():
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, benchmarks.capture.subjects.cost; print('continuum' in sys.modules, 'rich' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert found.stdout.split() == ["False", "False"]
