"""The plugin as its users have it: by its entry point, in a pytest of its own."""

from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.policy import GuardPolicy, TaskPolicy
from continuum.pytest_plugin import assert_approved, verdict_on
from continuum.records import Checkpoint, VerdictStatus
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_items import GoldenItem, described, fingerprint_of
from continuum.store.database import Store
from tests.builders import assistant, user
from tests.guard.conftest import a_checkpoint
from tests.guard.verdicts import a_measured_verdict
from tests.tiny_model import CITIES, RIGHT, UNSURE, question

pytest_plugins = ["pytester"]

SUITE = """
from continuum.pytest_plugin import assert_approved

seen = []

def test_the_candidate_may_serve(continuum_verdict):
    seen.append(continuum_verdict)
    assert_approved(continuum_verdict, allow_inconclusive=True)

def test_it_is_examined_once(continuum_verdict):
    assert continuum_verdict is seen[0]

def test_another_may_not(continuum_verdict):
    assert_approved(continuum_verdict.model_copy(update={"status": "blocked", "approved": False}))
"""
QUIET = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
"""Warnings are errors, and the other plugin that is here has nothing to warn of."""


def test_an_approved_candidate_passes_and_another_fails_with_the_report() -> None:
    verdict = a_measured_verdict(fall=0.3)
    approved = verdict.model_copy(update={"status": VerdictStatus.APPROVED, "approved": True})

    assert_approved(approved)
    with pytest.raises(AssertionError, match="BLOCKED") as raised:
        assert_approved(verdict, allow_inconclusive=True)
    shown = str(raised.value)
    assert "helpfulness fell by" in shown
    assert "-0.02" in shown


def test_an_undecided_candidate_passes_only_where_that_is_allowed_and_it_may_serve_at_all() -> None:
    undecided = a_measured_verdict().model_copy(update={"status": VerdictStatus.INCONCLUSIVE, "approved": True})
    held = undecided.model_copy(update={"approved": False})

    assert_approved(undecided, allow_inconclusive=True)
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_approved(undecided)
    with pytest.raises(AssertionError, match="may not serve"):
        assert_approved(held, allow_inconclusive=True)


def test_what_cannot_be_examined_is_said_before_anything_is_asked(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no checkpoint 'nobody-v1'"):
        verdict_on("nobody-v1")


def test_a_suite_without_a_candidate_is_skipped_and_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_light="""
        import sys

        def test_nothing_of_continuum_is_loaded():
            assert not [name for name in sys.modules if name.split(".")[0] == "continuum"]

        def test_the_candidate_may_serve(continuum_verdict):
            raise AssertionError
        """
    )

    result = pytester.runpytest_subprocess(*QUIET, "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*no model to guard: name one with --continuum-candidate*"])


def test_the_options_are_told_by_pytests_own_help(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--help")

    result.stdout.fnmatch_lines(["*--continuum-candidate=MODEL*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--continuum-candidate", "nobody-v1"], "there is no checkpoint 'nobody-v1' in *; train one, or name another"),
        (["--continuum-candidate", "support-v1"], "task 'support' has no golden dataset to guard with; *"),
        (["--continuum-candidate", "support-v1", "--continuum-report", "report.doc"], "a report cannot be written to *"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence_and_no_traceback(
    store: Store, pytester: pytest.Pytester, options: list[str], said: str
) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.checkpoints.add(a_checkpoint())
    pytester.makepyfile(test_model=SUITE)

    result = pytester.runpytest_subprocess(*QUIET, *options)

    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines([f"the guard decided nothing: {said}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:[0-9]*")
    result.stdout.no_fnmatch_line("*def verdict_on*")


@pytest.fixture
def task(store: Store, tiny_base: Path, tiny_checkpoint: Checkpoint) -> str:
    """A tiny task with a tuned model that answers RIGHT where production was UNSURE; the model's name."""
    guard = GuardPolicy(metrics=("action_match",), capability=False, alignment="off")
    store.tasks.register(TaskPolicy(task="support", base_model=str(tiny_base), guard=guard))
    store.checkpoints.add(tiny_checkpoint)
    return tiny_checkpoint.name


def a_golden_folder(folder: Path, reference: str, production: str) -> Path:
    """Sixty questions about six cities, with the answer that is asked for and the one that was given."""
    items = [
        GoldenItem(
            interaction_id=f"golden-{n:03d}",
            messages=(user(question(CITIES[n % len(CITIES)])),),
            reference=assistant(reference),
            production=assistant(production),
            group=f"group-{n:03d}",
        )
        for n in range(60)
    ]
    fingerprint = fingerprint_of("support", items)
    about = {
        "name": "support_golden_v1",
        "task": "support",
        "version": 1,
        "kind": "golden",
        "fingerprint": fingerprint,
        "format": 2,
    }
    return GoldenDataset("support_golden_v1", "support", 1, fingerprint, tuple(items), described(items) | about).save(folder)


@pytest.mark.slow
def test_a_suite_examines_a_real_candidate_once_fails_with_the_report_and_leaves_it_in_a_file(
    task: str, store: Store, tmp_path: Path, pytester: pytest.Pytester
) -> None:
    golden = a_golden_folder(tmp_path / "golden", RIGHT, UNSURE)
    pytester.makepyfile(test_model=SUITE)

    result = pytester.runpytest_subprocess(
        *QUIET, "--continuum-candidate", task, "--continuum-golden", str(golden), "--continuum-report", "out/report.html"
    )

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*BLOCKED: support-v1 against production*", "*action_match*0.000*1.000*+1.000*passed*"])
    (checkpoint,) = store.checkpoints.of("support")
    verdict = store.verdicts.latest(checkpoint.id)
    assert verdict is not None
    assert verdict.status == VerdictStatus.APPROVED
    assert "✓ APPROVED" in (pytester.path / "out" / "report.html").read_text(encoding="utf-8")
