"""The minimal integration as it stands in the introduction: the application runs it, another process turns the wheel."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from continuum import Continuum, ContinuumConfig
from continuum.status import status_of
from continuum.store.database import Store
from tests.builders import an_interaction
from tests.stub_endpoint import scores, stub_in_thread

SNIPPET = """
import asyncio
from continuum import Continuum, ContinuumConfig

# 1. Initialize
continuum = Continuum(ContinuumConfig(
    task="customer_support",
    api_key="sk-...",
    auto_annotate=True,      # LLM-as-judge runs automatically
    auto_train_when=1000,    # Start training when 1000 examples collected
    auto_deploy_if_better=True,
))

# 2. Wrap your LLM call
@continuum.capture
async def handle_support(message: str) -> str:
    # Your existing LLM code unchanged
    return await my_llm_call(message)

# 3. That's it. The flywheel starts turning.
# - Every call is captured
# - After 1000 captures, auto-annotation begins
# - After annotation, active learning curation runs
# - Fine-tuning starts on curated dataset
# - Regression guard checks quality
# - New model deployed automatically if better

asyncio.run(handle_support("I need help with my bill"))
"""
WATCHING = ["turn", "customer_support", "--watch"]
BEFORE = """
async def my_llm_call(message: str) -> str:
    return "It takes two days."
"""


def the_application(program: str) -> "subprocess.CompletedProcess[str]":
    """The snippet in a process of its own, as an application is one."""
    return subprocess.run([sys.executable, "-c", BEFORE + program], capture_output=True, text=True, check=False, timeout=120)


def test_the_snippet_runs_as_it_stands_and_its_call_is_captured(store: Store) -> None:
    ran = the_application(SNIPPET)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    policy = store.tasks.get("customer_support").policy
    assert (policy.auto_annotate, policy.auto_train_when, policy.auto_deploy_if_better) == (True, 1000, True)
    assert policy.judge.model == "gpt-4o-mini"
    assert "sk-..." not in policy.model_dump_json()
    subprocess.run([sys.executable, "-c", "from continuum.cli import main; main()", "drain"], check=True, timeout=60)
    (captured,) = store.interactions.scan("customer_support")
    assert captured.response is not None
    assert captured.response.text == "It takes two days."


async def test_status_tells_all_that_the_snippet_leaves_open(store: Store) -> None:
    wheel = Continuum(ContinuumConfig(task="customer_support", api_key="sk-...", auto_train_when=1000), store=store)

    status = await wheel.status()

    assert [one.of for one in status.needs] == ["driver", "judge", "base_model"]
    assert "continuum turn customer_support --watch" in status.advice
    assert "set OPENAI_API_KEY" in status.advice
    assert "CONTINUUM_BASE_MODEL" in status.advice


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_the_snippet_a_driver_elsewhere_turns_the_wheel_with_nothing_else_asked(store: Store, tiny_base: Path) -> None:
    """The threshold is met by what was captured before; a judge and a base model come from the environment alone."""

    def judge(call: int, body: object) -> str:
        return scores(helpfulness=5, accuracy=5, conciseness=5, tone=5)

    assert the_application(SNIPPET).returncode == 0
    store.interactions.add(
        an_interaction(
            f"order {n}: how long does parcel {n * 7} take?",
            "It takes two days.",
            task="customer_support",
            model=None,
            conversation_id=f"c{n}",
        )
        for n in range(1000)
    )
    # What a tiny model on two cores needs to be done in time; the snippet itself asks for nothing of it.
    small = [
        "curation.target_size=60",
        "training.epochs=1",
        "training.max_length=64",
        "judge.admission=off",
        "judge.sample_rate=0.2",
    ]
    command = [sys.executable, "-c", "from continuum.cli import main; main()"]
    subprocess.run([*command, "tasks", "set", "customer_support", *small], check=True, timeout=60)
    with stub_in_thread(judge) as stub:
        environment = os.environ | {
            "CONTINUUM_JUDGE_BASE_URL": stub.base_url,
            "CONTINUUM_JUDGE_API_KEY": "none",
            "CONTINUUM_BASE_MODEL": str(tiny_base),
        }
        driver = subprocess.Popen(
            [*command, "turn", "customer_support", "--watch"], env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 500
            while (status := status_of(store, "customer_support")).verdict is None:
                assert driver.poll() is None, driver.stderr.read() if driver.stderr else ""
                assert time.monotonic() < deadline, status.advice
                time.sleep(0.2)  # Another process writes what is waited for, and tells nobody.
        finally:
            driver.send_signal(signal.SIGINT)
            _, said = driver.communicate(timeout=60)

    assert driver.returncode == 130, said
    assert (status.checkpoint, status.judged > 0, status.dataset) == (
        "customer_support-v1",
        True,
        "customer_support_training_v1",
    )
    assert "--watch" in (status.driver or "")
    # Said after the fact, where the wheel was turned: nothing is missing but a driver that stays.
    assert status_of(store, "customer_support").lacks == ()
