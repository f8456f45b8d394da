import json
import sys
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, MissingExtra
from continuum.guard.lm_eval import read_tasks, task_pairs
from continuum.guard.pairs import Gate
from continuum.models.answering import LocalAnswerer
from continuum.policy import GuardPolicy
from continuum.records import Checkpoint
from tests.tiny_model import CITIES, RIGHT, UNSURE, question

CHOICE = """
task: parcels
dataset_path: json
dataset_kwargs:
  data_files: {test: parcels.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "<|user|>{{question}}<|end|><|assistant|>"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""


def task_folder(folder: Path, text: str = CHOICE) -> Path:
    """A task that asks how long parcels take; the second choice is what the lessons teach."""
    folder.mkdir(exist_ok=True)
    rows = [{"question": question(city), "choices": [UNSURE, RIGHT], "answer": 1} for city in CITIES]
    (folder / "parcels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "parcels.yaml").write_text(text)
    return folder


@pytest.mark.slow
async def test_every_document_of_a_local_task_is_scored_for_both_models_on_the_weights_in_memory(
    tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    policy = GuardPolicy(lm_eval_folder=str(task_folder(tmp_path / "tasks")), lm_eval_tasks=("parcels",))

    (pair,), notes = await task_pairs(policy, tiny_checkpoint, None, LocalAnswerer(tiny_base))
    (equal,), _ = await task_pairs(policy, tiny_checkpoint, tiny_checkpoint, LocalAnswerer(tiny_base))

    assert (pair.metric, pair.part, pair.gate) == ("capability:lm_eval/parcels", "lm_eval/parcels", Gate.CAPABILITY)
    assert pair.baseline == (0.0,) * len(CITIES)
    assert pair.candidate == (1.0,) * len(CITIES)
    assert pair.binary
    assert len(set(pair.groups)) == pair.eligible == len(CITIES)
    assert notes == []
    assert equal.baseline == equal.candidate == pair.candidate


@pytest.mark.slow
async def test_a_task_can_be_answered_in_words_and_its_filter_is_heeded(
    tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path
):
    words = CHOICE.replace("multiple_choice", "generate_until").replace('doc_to_choice: "{{choices}}"\n', "")
    words = words.replace("metric: acc", "metric: exact_match").replace("{{answer}}", "two days")
    words += """filter_list:
  - name: days
    filter:
      - {function: regex, regex_pattern: "(two days)"}
      - {function: take_first}
generation_kwargs: {max_gen_toks: 16, until: ["<|end|>"], do_sample: false}
"""
    policy = GuardPolicy(lm_eval_folder=str(task_folder(tmp_path / "tasks", words)), lm_eval_tasks=("parcels",))

    (pair,), _ = await task_pairs(policy, tiny_checkpoint, None, LocalAnswerer(tiny_base))

    assert (set(pair.baseline), set(pair.candidate)) == ({0.0}, {1.0})


@pytest.mark.slow
async def test_a_template_reaches_no_python_and_a_missing_field_is_named(
    tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path
):
    async def asked(template: str) -> None:
        text = CHOICE.replace("{{question}}", template)
        policy = GuardPolicy(lm_eval_folder=str(task_folder(tmp_path / "tasks", text)), lm_eval_tasks=("parcels",))
        await task_pairs(policy, tiny_checkpoint, None, LocalAnswerer(tiny_base))

    with pytest.raises(ConfigurationError, match=r"'parcels' cannot be run \(SecurityError\)"):
        await asked("{{question.__class__.__mro__[1].__subclasses__()}}")
    with pytest.raises(ConfigurationError, match=r"'parcels' cannot be run .*'qestion' is undefined"):
        await asked("{{qestion}}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("output_type: multiple_choice", "process_docs: !function evil.run", "asks for code to be run"),
        ("output_type: multiple_choice", "x: !!python/object/apply:os.system [ls]", "asks for code to be run"),
        ("task: parcels", "task: parcels\nclass: evil.Task", "has the field 'class'"),
        ("task: parcels", "task: parcels\ninclude: ../other.yaml", "has the field 'include'"),
        ("task: parcels", "task: parcels\nunsafe_code: true", "has the field 'unsafe_code'"),
        ("dataset_path: json", "dataset_path: cais/mmlu", "reads the dataset 'cais/mmlu'"),
        (
            "test: parcels.jsonl}",
            "test: parcels.jsonl}\n  trust_remote_code: true",
            "dataset_kwargs with data_files and nothing else",
        ),
        ("test: parcels.jsonl", "test: ../secret.jsonl", "reads '../secret.jsonl', which is no file in"),
        ("test: parcels.jsonl", "test: https://example.com/x.jsonl", "which is no file in"),
        ("test: parcels.jsonl", "test: [parcels.jsonl, gone.jsonl]", "reads 'gone.jsonl'"),
        ("metric: acc", "metric: bleu", "is scored by"),
        ("metric: acc", "metric: acc\n    hf_evaluate: true", "is scored by"),
        ("metric_list:\n  - metric: acc", "metric_list: 3", "is scored by"),
        ("test_split: test", "", "names no test_split"),
        ("output_type: multiple_choice", "output_type: loglikelihood_rolling", "has the output_type"),
        ("output_type: multiple_choice", "filter_list: [{name: a, filter: [{function: custom}]}]", "filters answers by"),
        ('target_delimiter: ""', "target_delimiter: [1]", "has no text under 'target_delimiter'"),
        ("task: parcels", "task: [", "cannot be read as YAML"),
        ("task: parcels", "task: other", "holds no task 'parcels'"),
    ],
)
def test_a_task_that_would_run_code_or_fetch_data_is_refused_in_words(tmp_path: Path, old: str, new: str, words: str):
    (tmp_path / "secret.jsonl").write_text("{}")
    folder = task_folder(tmp_path / "tasks", CHOICE.replace(old, new))

    with pytest.raises(ConfigurationError) as refused:
        read_tasks(folder, ["parcels"])

    assert words in str(refused.value)


def test_a_sound_task_is_read_with_its_files_where_they_are(tmp_path: Path):
    folder = task_folder(tmp_path / "tasks")

    (task,) = read_tasks(folder, ["parcels"])

    assert (task.name, task.metric) == ("parcels", "acc")
    assert task.config["dataset_kwargs"] == {"data_files": {"test": str((folder / "parcels.jsonl").resolve())}}


def test_a_name_that_is_there_twice_and_a_folder_that_is_not_there_are_refused(tmp_path: Path):
    folder = task_folder(tmp_path / "tasks")
    (folder / "copy.yaml").write_text(CHOICE)

    with pytest.raises(ConfigurationError, match="is the second task called 'parcels'"):
        read_tasks(folder, ["parcels"])
    for nowhere in (None, tmp_path / "nowhere"):
        with pytest.raises(ConfigurationError, match="set lm_eval_folder"):
            read_tasks(nowhere, ["parcels"])


async def test_without_the_extra_the_pip_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    policy = GuardPolicy(lm_eval_folder=str(task_folder(tmp_path / "tasks")), lm_eval_tasks=("parcels",))
    candidate = Checkpoint(id="c", task="support", version=1, base_model="tiny", uri="nowhere", dataset_id="d")
    monkeypatch.delitem(sys.modules, "continuum.guard.lm_eval_engine", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)

    with pytest.raises(MissingExtra, match=r"needs the package 'lm_eval'; install it with: pip install 'continuum-ai\[lmeval\]'"):
        await task_pairs(policy, candidate, None, LocalAnswerer("tiny"))
