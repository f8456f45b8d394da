"""Python programs: their calls are interactions, with conversations, verdicts, failures and tokens."""

import json
from pathlib import Path
from typing import Any

import pytest

from continuum.records import Feedback, Interaction
from continuum.store.database import Store
from tests.examples.conftest import EXAMPLES, Captured, Run
from tests.stub_endpoint import completion, error, stub_in_thread

pytestmark = pytest.mark.slow


def said_of(store: Store, interaction: Interaction) -> list[Feedback]:
    return store.feedback.of([interaction])[interaction.id]


# --- the support bot -----------------------------------------------------------------------------------------------------


def test_the_bot_converses_and_its_verdicts_stand_beside_its_answers(run: Run, captured: Captured, store: Store) -> None:
    def reply(call: int, body: dict[str, Any]) -> dict[str, Any]:
        return completion(f"answer {call}", given=10 * call, said=5)

    with stub_in_thread(reply) as stub:
        typed = "Where is my order?\n+\nAnd my refund?\n= Refunds take five days.\n"
        done = run("support_bot/bot.py", given=typed, OPENAI_BASE_URL=stub.base_url, OPENAI_API_KEY="none", USER="ada")

    assert (done.returncode, done.stdout, done.stderr) == (0, "bot: answer 1\nbot: answer 2\n", "")
    first, second = captured()
    assert [message.text for message in second.messages][1:] == ["Where is my order?", "answer 1", "And my refund?"]
    assert (first.response and first.response.text, first.input_tokens, first.output_tokens) == ("answer 1", 10, 5)
    assert first.conversation_id == second.conversation_id is not None
    assert first.user_id == second.user_id is not None
    assert "ada" not in str(first.user_id)
    assert [(one.score, one.correction) for one in said_of(store, first)] == [(5, None)]
    assert [(one.score, one.correction) for one in said_of(store, second)] == [(None, "Refunds take five days.")]


def test_the_same_bot_behind_a_provider_that_fails_ends_and_the_failure_is_kept(
    run: Run, store: Store, captured: Captured
) -> None:
    with stub_in_thread(lambda call, body: error(400, "no such model")) as stub:
        done = run("support_bot/bot.py", given="Hello?\n", OPENAI_BASE_URL=stub.base_url, OPENAI_API_KEY="none")

    assert done.returncode == 1
    captured()
    (kept,) = store.interactions.scan("support", status=None)
    assert kept.status == "error"
    assert "no such model" in (kept.error or "")


# --- LangChain -----------------------------------------------------------------------------------------------------------


def test_a_chain_is_captured_by_its_callback_and_a_verdict_finds_it(run: Run, captured: Captured, store: Store) -> None:
    done = run("langchain_app/app.py", "Where is order 7?")

    assert (done.returncode, done.stderr) == (0, "")
    (kept,) = captured()
    assert [(one.role, one.text) for one in kept.messages] == [
        ("system", "You answer for a parcel service."),
        ("user", "Where is order 7?"),
    ]
    assert kept.response is not None
    assert done.stdout.strip() == kept.response.text == "It arrives on Monday."
    assert [one.score for one in said_of(store, kept)] == [5]


CHAIN = """
import sys
sys.path.insert(0, "langchain_app")
from app import answer
from continuum import langchain_callback
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage


class Failing(GenericFakeChatModel):
    def _generate(self, *args, **named):
        raise TimeoutError("the model took too long")


usage = {"input_tokens": 40, "output_tokens": 12, "total_tokens": 52}
about = {"id": "resp-1", "model_name": "gpt-4o-mini", "finish_reason": "stop"}
said = AIMessage("Tomorrow.", usage_metadata=usage, response_metadata=about)
answer("When?", langchain_callback("support"), GenericFakeChatModel(messages=iter([said])))
try:
    answer("Why?", langchain_callback("support"), Failing(messages=iter([])))
except TimeoutError:
    print("failed as the model did")
"""


def test_tokens_and_failures_of_a_chain_are_kept(run: Run, captured: Captured, store: Store, tmp_path: Path) -> None:
    program = tmp_path / "chain.py"
    program.write_text(CHAIN, encoding="utf-8")

    done = run(str(program))

    assert (done.stdout, done.stderr) == ("failed as the model did\n", "")
    (kept,) = captured()
    assert (kept.model, kept.input_tokens, kept.output_tokens, kept.provider_response_id) == ("gpt-4o-mini", 40, 12, "resp-1")
    (failed,) = [one for one in store.interactions.scan("support", status=None) if one.status == "error"]
    assert failed.error == "TimeoutError: the model took too long"


# --- Langfuse ------------------------------------------------------------------------------------------------------------


def test_an_export_of_langfuse_is_moved_once_with_what_people_said(run: Run, store: Store) -> None:
    command = ("langfuse_import/move.py", "langfuse_import/traces.json", "support")
    done, again = run(*command), run(*command)

    assert done.stdout.splitlines()[0] == "3 interactions added, 0 were there, 3 verdicts"
    assert again.stdout.splitlines()[0] == "0 interactions added, 3 were there, 0 verdicts"
    assert "scores given by an evaluator: kept as labels, they are no human verdicts" in done.stdout
    first, second = store.interactions.scan("support")
    assert (first.conversation_id, first.input_tokens, first.latency_ms) == ("session-1", 40, 1500)
    assert [one.score for one in said_of(store, first)] == [5]
    # 2 of 10 stars, on a scale from 1 to 5.
    assert [one.score for one in said_of(store, second) if one.score is not None] == [pytest.approx(1.8)]


# --- a judge of one's own ------------------------------------------------------------------------------------------------


def test_a_rule_is_a_judge_whose_scores_are_stored(run: Run, store: Store, tmp_path: Path) -> None:
    def row(id: str, question: str, answer: str) -> str:
        messages = [{"role": "user", "content": question}]
        return json.dumps(
            {"id": id, "task": "support", "messages": messages, "response": {"role": "assistant", "content": answer}}
        )

    log = tmp_path / "log.jsonl"
    rows = [
        row("grounded", "Where is order 17?", "Order 17 is under way."),
        row("made-up", "Where is order 18?", "It arrives on day 24."),
        row("long", "Where is order 19?", "It is under way. " * 30),
    ]
    log.write_text("\n".join(rows), encoding="utf-8")
    run(str(Path("langfuse_import") / "move.py"), str(log), "support")

    done = run("own_judge/judge.py", "support")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 judged for $0.00")
    found = {id: one.scores for id, one in store.annotations.of(["grounded", "made-up", "long"]).items()}
    assert found == {
        "grounded": {"grounded": 5, "brevity": 5},
        "made-up": {"grounded": 1, "brevity": 5},
        "long": {"grounded": 5, "brevity": 1},
    }


def test_every_example_has_a_page_of_three_sentences_and_a_program() -> None:
    folders = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(folders) == 7
    for folder in folders:
        page = (folder / "README.md").read_text(encoding="utf-8")
        about = page.split("\n\n")[1]
        assert len([sentence for sentence in about.split("\n") if sentence.endswith(".")]) == 3, folder.name
        assert "```console" in page, folder.name
        assert f"({folder.name}/README.md)" in listed
