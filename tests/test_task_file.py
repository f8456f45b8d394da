from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.store.database import Store
from continuum.task_file import apply, changes_of, read_task_file

WHOLE = """\
task: support
auto_train_when: 1000
judge:
  model: gpt-4o-mini
  budget_usd: 5
  criteria:
    - {name: accuracy, weight: 1, description: True to the facts}
guard:
  thresholds:
    accuracy: {min_delta: 0.0}
deployment:
  ramp_schedule: [0.1, 1.0]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "continuum.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    return path


def test_a_file_registers_its_task_and_a_second_time_changes_nothing(file: Path, store: Store) -> None:
    first = apply(store, read_task_file(file))

    policy = store.tasks.get("support").policy
    assert (policy.auto_train_when, policy.judge.model, policy.deployment.ramp_schedule) == (1000, "gpt-4o-mini", (0.1, 1.0))
    assert policy.guard.thresholds == {"accuracy": {"min_delta": 0.0}}
    assert [one.name for one in policy.judge.criteria] == ["accuracy"]
    assert "auto_train_when" in {change.field for change in first}
    assert apply(store, read_task_file(file)) == []
    assert store.tasks.get("support").policy == policy


def test_what_the_file_leaves_out_stays_as_it_was_set_elsewhere(file: Path, store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", base_model="/models/own", provider_terms_accepted=True, auto_train_when=7))

    changes = {change.field: (change.before, change.after) for change in apply(store, read_task_file(file))}

    policy = store.tasks.get("support").policy
    assert (policy.base_model, policy.provider_terms_accepted, policy.auto_train_when) == ("/models/own", True, 1000)
    assert changes["auto_train_when"] == (7, 1000)
    assert "base_model" not in changes


def test_a_difference_is_told_before_it_is_made(file: Path, store: Store) -> None:
    apply(store, read_task_file(file))
    file.write_text(WHOLE.replace("1000", "2000"), encoding="utf-8")

    (change,) = changes_of(store, read_task_file(file))

    assert change.words() == "auto_train_when: 1000 -> 2000"
    assert store.tasks.get("support").policy.auto_train_when == 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: support\nauto_train_wen: 5\n", ":2: a policy has no field 'auto_train_wen'; did you mean auto_train_when?"),
        ("task: support\njudge:\n  modell: x\n", ":3: a policy has no field 'judge.modell'; did you mean judge.model?"),
        ("task: support\nbudget_usd: 5\n", ":2: a policy has no field 'budget_usd'; did you mean judge.budget_usd?"),
        ("task: support\n\nauto_train_when: -1\n", ":3: auto_train_when: Input should be greater"),
        ("task: support\njudge:\n  model: x\n  budget_usd: many\n", ":4: judge.budget_usd:"),
        ("task: support\njudge:\n  base_url: https://me:secret@host/v1\n", ":3: judge.base_url:"),
        ("task: support\nsplits: {golden: 0.9, validation: 0.2}\n", "leave nothing to train on"),
        ("task: support\njudge: gpt-4o-mini\n", ":2: judge:"),
        ("task: support\ntask: other\n", ":2: task is set a second time"),
        ("auto_train_when: 5\n", "it names no task"),
        ("task: ../etc\n", "must be 1 to 100 letters"),
        ("task: [support\n", "this is no YAML"),
        ("- support\n", ":1: a task file has to be a mapping"),
        ("", "a task file has to be a mapping"),
        ("task: support\nsplits: &s {golden: 0.2}\ncuration: *s\n", ":3: anchors and aliases"),
        ("task: !!python/object/apply:os.system ['true']\n", "this is no YAML"),
        ("task: support\njudge:\n  budget_usd: .inf\n", ":3: judge.budget_usd:"),
        ("task: support\njudge:\n  shares: {guard: 0.9}\n", ":3: judge.shares: the shares of a budget sum to 1.6"),
        (
            "task: support\nauto_train_when: 0\n\ntraining:\n  epochs: none\n",
            ":5: training.epochs: Input should be a valid number",
        ),
    ],
)
def test_what_a_policy_does_not_know_is_refused_with_its_line(text: str, said: str, file: Path, store: Store) -> None:
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError) as refused:
        apply(store, read_task_file(file))

    assert said in str(refused.value)
    assert "secret" not in str(refused.value)
    assert store.tasks.names() == []


def test_a_key_has_no_place_in_a_file_and_is_not_repeated(file: Path) -> None:
    file.write_text("task: support\njudge:\n  api_key: sk-very-secret\n", encoding="utf-8")

    with pytest.raises(ConfigurationError) as refused:
        read_task_file(file)

    assert "'judge.api_key'" in str(refused.value)
    assert "sk-very-secret" not in str(refused.value)


def test_a_file_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="continuum init writes one"):
        read_task_file(tmp_path / "continuum.yaml")


@given(st.text(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "continuum.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    try:
        read = read_task_file(path)
    except ConfigurationError:
        return
    assert read.task
