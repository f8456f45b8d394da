"""People score both models' answers to items drawn at random, not knowing whose is whose; what they say is kept for the guard."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.guard.audit import people_differences, read_audit, write_audit
from continuum.guard.audit_files import LONGEST_CELL, cell
from continuum.guard.pairs import Arm
from continuum.records import DatasetRecord, FunctionCall, Message, ToolCall
from continuum.splits.golden_items import GoldenItem
from continuum.spool.cleaning import clean_text
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from tests.builders import NOON, an_interaction, assistant, user

METRICS = ("helpfulness", "tone")
Rule = Callable[[int], Message | str | None]


def items(size: int = 60, question: Callable[[int], str] = lambda n: f"question {n}") -> list[GoldenItem]:
    return [
        GoldenItem(interaction_id=f"golden-{n:04d}", messages=(user(question(n)),), group=f"group-{n // 2}") for n in range(size)
    ]


def arm(rule: Rule, size: int = 60, name: str = "support-v2") -> Arm:
    said = [rule(n) for n in range(size)]
    return Arm(name, name, tuple(assistant(one) if isinstance(one, str) else one for one in said), {})


OLD, NEW = arm(lambda n: f"old answer {n}", name="production"), arm(lambda n: f"new answer {n}")


def rows(path: Path) -> list[dict]:
    if path.suffix == ".csv":
        return list(csv.DictReader(StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    return [json.loads(line) for line in path.read_text().splitlines()]


def save(path: Path, filled: list[dict], *, delimiter: str = ",", encoding: str = "utf-8") -> None:
    """Write a file as a person's editor or spreadsheet would."""
    if path.suffix == ".csv":
        text = StringIO()
        table = csv.DictWriter(text, list(filled[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(filled)
        path.write_text(text.getvalue(), encoding=encoding, newline="")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in filled))


def scored_by(path: Path, score: Callable[[str], object], metrics: tuple[str, ...] = METRICS, **how: str) -> None:
    """Fill in a file: a score for each answer by a function of its words."""
    filled = [row | {f"score: {metric}": score(row["answer"]) for metric in metrics} for row in rows(path)]
    save(path, filled, **how)


def by_arm(old: float, new: float) -> Callable[[str], float]:
    return lambda answer: new if "new" in answer else old


@pytest.fixture(params=["audit.jsonl", "audit.csv"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


# --- what people see ---------------------------------------------------------------------------------------------


def test_both_answers_of_items_drawn_at_random_stand_side_by_side_in_random_order(path: Path) -> None:
    drawn = write_audit(path, "support", items(), OLD, NEW, METRICS, size=20)

    written = rows(path)
    questions = [row["question"] for row in written]
    assert (drawn.items, drawn.answers, drawn.metrics) == (20, 40, METRICS)
    assert questions[0::2] == questions[1::2]
    assert len(set(questions)) == 20
    assert questions[0::2] != sorted(questions[0::2])
    assert 4 <= sum("new" in row["answer"] for row in written[0::2]) <= 16
    assert list(written[0]) == ["id", "question", "answer", "score: helpfulness", "score: tone"]
    assert not any(row["score: tone"] for row in written)


def test_nothing_in_the_file_tells_whose_answer_it_is(path: Path) -> None:
    call = ToolCall(id="call_v2", function=FunctionCall(name="track", arguments='{"parcel": 7}'))
    named = Message.model_validate({"role": "assistant", "content": "I look.", "name": "support-v2", "tool_calls": [call]})

    write_audit(path, "support", items(), OLD, arm(lambda n: named), METRICS)

    text = path.read_text(encoding="utf-8-sig")
    assert 'track({"parcel":7})' in {row["answer"].splitlines()[-1] for row in rows(path)}
    assert not any(word in text for word in ("support-v2", "production", "call_v2", "candidate", "baseline"))


def test_the_same_items_are_drawn_for_every_candidate_and_more_of_them_where_more_are_asked_for(tmp_path: Path) -> None:
    def questions(name: str, candidate: Arm, **options: int) -> set[str]:
        write_audit(tmp_path / name, "support", items(), OLD, candidate, METRICS, **options)
        return {row["question"] for row in rows(tmp_path / name)}

    few = questions("a.jsonl", NEW, size=10)
    other = questions("b.jsonl", arm(lambda n: f"something else {n}"), size=10)
    many = questions("c.jsonl", NEW, size=30)
    elsewhere = questions("d.jsonl", NEW, size=10, seed=1)

    assert few == other
    assert few < many
    assert few != elsewhere


def test_every_item_is_as_likely_to_be_drawn_as_any_other(tmp_path: Path) -> None:
    times: Counter[str] = Counter()
    for seed in range(200):
        path = tmp_path / f"{seed}.jsonl"
        write_audit(path, "support", items(20), arm(lambda n: "old", 20), arm(lambda n: "new", 20), METRICS, size=5, seed=seed)
        times.update({row["question"] for row in rows(path)})

    # Of 200 draws with probability 1/4 each: 50, give or take 6.1; four of these.
    assert len(times) == 20
    assert all(25 <= count <= 75 for count in times.values())


def test_an_answer_that_both_gave_is_scored_once_and_one_that_says_nothing_not_at_all(path: Path) -> None:
    candidate = arm(lambda n: f"old answer {n}" if n % 3 == 0 else None if n % 3 == 1 else f"new answer {n}")

    drawn = write_audit(path, "support", items(), OLD, candidate, METRICS, size=60)

    assert drawn.items == 60
    assert drawn.answers == len(rows(path)) == 20 + 20 + 2 * 20


def test_the_file_is_for_its_owner_alone_and_no_file_is_written_over(path: Path) -> None:
    write_audit(path, "support", items(), OLD, NEW, METRICS)
    before = path.read_bytes()

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="is there already, and somebody may have scored in it"):
        write_audit(path, "support", items(), OLD, NEW, METRICS)
    assert path.read_bytes() == before


def test_an_audit_of_nothing_is_refused(tmp_path: Path) -> None:
    silent = arm(lambda n: None)
    for metrics, baseline, words in ((("action_match",), OLD, "nothing for people to score"), (METRICS, silent, "answered any")):
        with pytest.raises(ConfigurationError, match=words):
            write_audit(tmp_path / "a.csv", "support", items(), baseline, silent, metrics)
    with pytest.raises(ConfigurationError, match=r"ends in .jsonl or .csv, found 'audit.xlsx'"):
        write_audit(tmp_path / "audit.xlsx", "support", items(), OLD, NEW, METRICS)


# --- what a spreadsheet does -------------------------------------------------------------------------------------

HOSTILE = '=HYPERLINK("http://evil","x");=1+1\n-2+3+cmd|\' /C calc\'!A0\n\t@SUM(1)\r\n- a list\x1b[31m\u202e\x00\ud800'


def formulas(table: str) -> list[str]:
    """The cells that a spreadsheet would compute, whichever separator it takes the table to have."""
    found = [one for mark in ",;\t|" for row in csv.reader(StringIO(table, newline=""), delimiter=mark) for one in row]
    return [one for one in found if one.strip()[:1] in {"=", "+", "-", "@", "＝", "＋", "＠"}]


def test_hostile_answers_compute_nothing_in_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"

    write_audit(
        path, "support", items(question=lambda n: clean_text(f"{HOSTILE}{n}")), OLD, arm(lambda n: HOSTILE), METRICS, size=5
    )

    text = path.read_text(encoding="utf-8-sig")
    assert formulas('id,answer\n1,"x";=1\n')
    assert not formulas(text)
    assert not set(text) & set("\x1b\u202e\x00\ud800")


@given(st.text(alphabet=st.sampled_from("=+-@＝;,|\t\n\r '\"a1"), max_size=30))
@settings(max_examples=300)
def test_no_text_puts_a_formula_behind_what_may_be_the_end_of_a_cell(text: str) -> None:
    table = StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([["id", "answer"], ["answer-1", cell(f"answer: {text}")]])

    assert not formulas(table.getvalue())


def test_a_long_text_keeps_its_ends(tmp_path: Path) -> None:
    shown = cell(f"answer: {'a' * 50_000}the end")

    assert len(shown) < LONGEST_CELL + 100
    assert shown.endswith("the end")
    assert "characters left out ...]" in shown


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-8-sig")])
def test_what_a_spreadsheet_saved_is_read_whatever_its_separator(
    store: Store, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    path = tmp_path / "audit.csv"
    write_audit(path, "support", items(question=lambda n: f"first line {n}\r\nünd;more,\t3"), OLD, NEW, METRICS, size=10)
    saved = [{name: text.replace("\n", "\r\n") for name, text in row.items()} | {"my own notes": "=x"} for row in rows(path)]
    save(path, saved, delimiter=delimiter, encoding=encoding)
    scored_by_hand = saved[:3]
    for row in scored_by_hand:
        row |= {"score: tone": "4", "score: helpfulness": " 2.5 "}
    save(path, saved, delimiter=delimiter, encoding=encoding)

    read = read_audit(path, store, "support", "ann")

    assert (read.answers, read.labels, read.blank, read.refused) == (3, 6, 17, ())


# --- what people say ---------------------------------------------------------------------------------------------


def test_what_people_see_is_the_difference_on_the_scale_of_the_scores(store: Store, path: Path) -> None:
    write_audit(path, "support", items(), OLD, NEW, METRICS, size=40)
    scored_by(path, by_arm(old=4, new=3))

    read = read_audit(path, store, "support", "ann", now=lambda: NOON)

    seen = people_differences(store, items(), OLD, NEW, "tone")
    assert (read.answers, read.labels, read.blank, read.refused) == (80, 160, 0, ())
    assert len(seen) == 60
    assert Counter(seen) == {None: 20, -0.25: 40}
    assert set(people_differences(store, items(), OLD, NEW, "accuracy")) == {None}


def test_several_people_are_averaged_each_held_against_themselves(store: Store, tmp_path: Path) -> None:
    def says(name: str, old: float, new: float, size: int) -> None:
        path = tmp_path / f"{name}.jsonl"
        write_audit(path, "support", items(), OLD, NEW, METRICS, size=size)
        scored_by(path, by_arm(old, new))
        read_audit(path, store, "support", name)

    says("ann", old=5, new=4, size=20)
    says("bob", old=3, new=1, size=10)

    seen = [one for one in people_differences(store, items(), OLD, NEW, "tone") if one is not None]
    assert Counter(seen) == {fmean([-0.25, -0.5]): 10, -0.25: 10}


def test_two_answers_scored_by_two_people_are_no_pair(store: Store, tmp_path: Path) -> None:
    for name in ("old", "new"):
        path = tmp_path / f"{name}.jsonl"
        write_audit(path, "support", items(), OLD, NEW, METRICS)
        scored_by(path, lambda answer, of=name: 5 if of in answer else "")
        read_audit(path, store, "support", f"who scores {name}")

    assert store.golden_labels.count("support") == 2 * 40 * 2
    assert set(people_differences(store, items(), OLD, NEW, "tone")) == {None}


def test_an_answer_that_both_gave_counts_as_no_difference_once_somebody_has_read_it(store: Store, tmp_path: Path) -> None:
    same = arm(lambda n: f"old answer {n}")
    path = tmp_path / "audit.csv"
    write_audit(path, "support", items(), OLD, same, METRICS, size=12)
    scored_by(path, lambda answer: 2)
    read_audit(path, store, "support", "ann")

    assert Counter(people_differences(store, items(), OLD, same, "tone")) == {0.0: 12, None: 48}


def test_a_model_that_said_nothing_is_the_worst_without_being_scored(store: Store, tmp_path: Path) -> None:
    silent = arm(lambda n: None if n < 30 else f"new answer {n}")
    path = tmp_path / "audit.csv"
    write_audit(path, "support", items(), OLD, silent, METRICS, size=60)
    scored_by(path, by_arm(old=4, new=4))
    read_audit(path, store, "support", "ann")

    assert people_differences(store, items(), OLD, silent, "tone") == (-0.75,) * 30 + (0.0,) * 30
    assert people_differences(store, items(), silent, OLD, "tone") == (0.75,) * 30 + (0.0,) * 30
    assert set(people_differences(store, items(), silent, silent, "tone")[:30]) == {None}


def test_what_people_said_of_the_champion_is_not_asked_again_of_the_next_candidate(store: Store, tmp_path: Path) -> None:
    for name, candidate in (("v2", NEW), ("v3", arm(lambda n: f"newer answer {n}"))):
        path = tmp_path / f"{name}.csv"
        write_audit(path, "support", items(), OLD, candidate, METRICS, size=10)
        scored_by(path, lambda answer, of=name: "" if of == "v3" and "old" in answer else 5 if "new" in answer else 3)
        read_audit(path, store, "support", "ann")

        assert Counter(people_differences(store, items(), OLD, candidate, "tone")) == {0.5: 10, None: 50}


def test_a_file_read_again_stands_for_what_was_said_before(store: Store, path: Path) -> None:
    write_audit(path, "support", items(), OLD, NEW, METRICS, size=10)
    for new in (5, 4):
        scored_by(path, by_arm(old=4, new=new))
        read_audit(path, store, "support", "ann")

    assert store.golden_labels.count("support") == 40
    assert Counter(people_differences(store, items(), OLD, NEW, "tone")) == {0.0: 10, None: 50}


# --- what is refused ---------------------------------------------------------------------------------------------


def test_bad_lines_are_refused_by_number_and_the_others_are_kept(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_audit(path, "support", items(), OLD, NEW, METRICS, size=6)
    scored_by(path, lambda answer: 4)
    filled = rows(path)
    filled[0]["score: tone"] = "six\x1b[31m"
    filled[1]["score: tone"] = 0.5
    filled[2]["score: helpfulness"] = True
    filled[3]["answer"] += " and more"
    filled[4]["id"] = "answer 4"
    filled[5] = filled[6]
    filled[7] = {key: value for key, value in filled[7].items() if not key.startswith("score")}
    save(path, filled)
    with path.open("a") as file:
        file.write("\n{broken\n[1, 2]\n" + "[" * 100_000 + "\n")

    read = read_audit(path, store, "support", "ann")

    assert (read.answers, read.labels) == (5, 10)
    assert read.refused == (
        "line 1: tone is 'six'; scores run from 1 to 5",
        "line 2: tone is '0.5'; scores run from 1 to 5",
        "line 3: helpfulness is 'True'; scores run from 1 to 5",
        "line 4: its text is not what was written beside this id for task 'support'; write the audit anew",
        "line 5: it has no id that an audit was written with",
        "line 7: the same answer stands on line 6 already",
        "line 8: it has nothing that begins with 'score: ', which is what an audit is filled in at",
        "line 14: it is no JSON object",
        "line 15: it is no JSON object",
        "line 16: it is no JSON object",
    )


def test_a_column_that_was_sorted_away_from_the_others_is_found_out(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    write_audit(path, "support", items(), OLD, NEW, METRICS, size=20)
    filled = rows(path)
    answers = sorted(row["answer"] for row in filled)
    save(path, [row | {"answer": answer, "score: tone": "4"} for row, answer in zip(filled, answers, strict=True)])

    read = read_audit(path, store, "support", "ann")

    assert len(read.refused) + read.answers == 40
    assert len(read.refused) >= 36
    assert read.refused[0].startswith("row 2: its text is not what was written beside this id")


def test_an_audit_of_another_task_is_refused_line_by_line(store: Store, path: Path) -> None:
    write_audit(path, "support", items(), OLD, NEW, METRICS, size=3)
    scored_by(path, lambda answer: 4)

    read = read_audit(path, store, "sales", "ann")

    assert (read.answers, len(read.refused)) == (0, 6)
    assert store.golden_labels.count("sales") == 0


def test_files_that_are_no_audits_say_what_they_should_be(store: Store, tmp_path: Path) -> None:
    contents = {"a.csv": b"name,age\nann,3\n", "b.csv": "ü".encode("latin-1"), "c.csv": b"id,question,answer\n", "d.csv": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"does not begin with the names of its columns|save it as UTF-8"):
            read_audit(tmp_path / name, store, "support", "ann")
    with pytest.raises(ConfigurationError, match="there is no audit file"):
        read_audit(tmp_path / "e.csv", store, "support", "ann")
    with pytest.raises(ConfigurationError, match="nobody is named"):
        read_audit(tmp_path / "a.csv", store, "support", " ")


def test_an_item_that_was_erased_meanwhile_is_refused_and_labels_are_erased_with_theirs(store: Store, path: Path) -> None:
    golden = [*items(6), items(7)[6].model_copy(update={"interaction_id": "own-7"})]
    store.interactions.add([an_interaction(f"question {n}", id=f"golden-{n:04d}") for n in range(6)])
    record = DatasetRecord(id="g", task="support", kind="golden", name="support_golden_v1", version=1, uri="x", manifest={})
    store.datasets.add(record, [DatasetItem(interaction_id=item.interaction_id, split="golden") for item in golden])
    old, new = arm(lambda n: f"old {n}", 7), arm(lambda n: f"new {n}", 7)
    write_audit(path, "support", golden, old, new, METRICS)
    scored_by(path, by_arm(old=2, new=4))
    erase(store, ["golden-0002"])

    read = read_audit(path, store, "support", "ann")
    erase(store, ["golden-0004"])

    assert (read.answers, len(read.refused)) == (12, 2)
    assert all(words.endswith("its interaction was erased") for words in read.refused)
    seen = people_differences(store, golden, old, new, "tone")
    assert seen == (0.5, 0.5, None, 0.5, None, 0.5, 0.5)
