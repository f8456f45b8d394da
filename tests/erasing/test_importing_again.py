"""What was erased does not come back by an import, whatever form the log has that still holds it."""

from typing import Any

import pytest

from continuum.erasing.finding import Request
from continuum.erasure import forget
from tests.signals.formats.conftest import Logs, logs
from tests.signals.formats.test_langfuse import a_generation
from tests.signals.formats.test_mlflow_trace import HELLO, HI, a_trace
from tests.signals.formats.test_mlflow_trace import a_span as a_traced_span
from tests.signals.formats.test_openai_log import a_completion, a_request
from tests.signals.formats.test_otlp import TODAY, a_document
from tests.signals.formats.test_otlp import a_span as an_otlp_span

__all__ = ["logs"]

PLAIN = {
    "id": "call-117",
    "task": "support",
    "messages": [{"role": "user", "content": "Hi"}],
    "response": HELLO,
    "feedback": [{"score": 5}],
}
FORMS = {
    "plain": PLAIN,
    "openai": {"request": a_request(user="anna"), "response": a_completion()},
    "otlp": a_document(an_otlp_span(1, TODAY)),
    "langfuse": a_generation(),
    "mlflow": a_trace(a_traced_span(1, "CHAT_MODEL", HI, HELLO)),
}


@pytest.mark.parametrize("form", sorted(FORMS))
async def test_a_log_that_still_holds_it_is_refused_in_every_form(logs: Logs, form: str) -> None:
    record: Any = FORMS[form]
    first = logs.take(record, format=form)
    ids = tuple(one.id for one in logs.stored())
    assert (first.added, len(ids)) == (1, 1)

    await forget(Request(interactions=ids), store=logs.store)
    again = logs.take(record, format=form)
    elsewhere = logs.take(record, format=form, task="sales")

    assert (again.added, elsewhere.added, logs.stored(), logs.stored("sales"), logs.said()) == (0, 0, [], [], [])
    assert logs.store.erasures.refused()[1] >= 2
