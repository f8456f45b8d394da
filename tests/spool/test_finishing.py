from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.similarity.simhash import fingerprints
from continuum.spool.finishing import finish, finish_all, finish_feedback, redacted_now
from continuum.spool.lines import feedback_draft
from continuum.spool.opinions import checked_feedback
from continuum.spool.users import hashed_user, user_key
from continuum.timespan import utc_now


def a_draft(**fields: Any) -> dict[str, Any]:
    return {
        "id": "one",
        "task": "support",
        "messages": [{"role": "user", "content": "Where is my order?"}],
        "response": {"role": "assistant", "content": "On its way."},
    } | fields


def test_a_draft_becomes_the_interaction_it_describes() -> None:
    one = finish(
        a_draft(
            started_ns=1_700_000_000_123_456_789,
            conversation_id="c",
            parent_id="p",
            tags={"channel": "mail"},
            trace={"trace_id": "a" * 32, "span_id": "b" * 16},
            cached_tokens=3,
        )
    )

    assert one.started_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert (one.conversation_id, one.parent_id, one.cached_tokens) == ("c", "p", 3)
    assert one.tags == {"channel": "mail", "trace_id": "a" * 32, "span_id": "b" * 16}
    assert one.fingerprint == fingerprints(["Where is my order?\nOn its way."])[0]
    assert (one.redaction, one.user_id, one.cost_usd) == (None, None, None)


@pytest.mark.parametrize("moment", [None, -1, 10**30, "noon", 1.5])
def test_a_moment_that_no_calendar_knows_is_now(moment: Any) -> None:
    assert abs(finish(a_draft(started_ns=moment)).started_at - utc_now()) < timedelta(seconds=20)


def test_personal_data_is_taken_out_of_every_text_and_the_version_noted() -> None:
    one = finish(
        a_draft(
            redact="builtin",
            messages=[{"role": "user", "content": "I am ann@example.com"}],
            response={
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "mail", "arguments": '{"to": "ann@example.com"}'}}],
            },
            error="no such mailbox: ann@example.com",
            tags={"from": "ann@example.com"},
        )
    )

    assert "ann" not in one.model_dump_json()
    assert one.messages[0].text == "I am [EMAIL]"
    assert one.redaction == "builtin-1"


def test_users_are_stored_as_keyed_hashes_unless_they_come_as_such() -> None:
    hashed = hashed_user("ann", user_key())

    assert finish(a_draft(user_id="ann")).user_id == hashed
    assert finish(a_draft(user_hash=hashed)).user_id == hashed


def test_an_unknown_redactor_is_an_error_and_never_plaintext() -> None:
    with pytest.raises(ConfigurationError, match="no redactor 'ours'"):
        finish(a_draft(redact="ours"))


def test_what_is_redacted_in_the_call_is_left_alone_later() -> None:
    drafted = redacted_now(a_draft(user_id="ann", messages=[{"role": "user", "content": "ann@example.com"}]), "builtin")

    assert "ann" not in str(drafted)
    one = finish(drafted)
    assert (one.messages[0].text, one.redaction, one.user_id) == ("[EMAIL]", "builtin-1", hashed_user("ann", user_key()))


def test_each_model_call_is_priced_and_one_without_a_price_leaves_the_cost_unknown() -> None:
    paid = {"model": "gpt-4o-mini", "base_url": None, "input_tokens": 1000, "output_tokens": 100}
    once, twice = finish(a_draft(paid=[paid])).cost_usd, finish(a_draft(paid=[paid, paid])).cost_usd

    assert once is not None
    assert twice == pytest.approx(2 * once)
    assert finish(a_draft(paid=[paid, {**paid, "model": "nobody-knows"}])).cost_usd is None
    assert finish(a_draft(paid=[{**paid, "output_tokens": None}])).cost_usd is None


def test_cached_tokens_cost_what_the_cache_costs() -> None:
    paid = {"model": "gpt-4o-mini", "base_url": None, "input_tokens": 1000, "output_tokens": 100}
    cached = finish(a_draft(paid=[paid | {"cached_tokens": 800}])).cost_usd
    whole = finish(a_draft(paid=[paid])).cost_usd

    assert cached is not None
    assert whole is not None
    assert cached < whole


def test_fingerprints_do_not_depend_on_the_batch() -> None:
    drafts = [a_draft(id=f"{n}", messages=[{"role": "user", "content": f"question {n}"}]) for n in range(20)]

    assert [one.fingerprint for one in finish_all(drafts)] == [finish(draft).fingerprint for draft in drafts]


def test_the_turns_of_a_conversation_are_no_repeats_of_each_other() -> None:
    asked = {"role": "user", "content": "A long question about a parcel that went missing"}
    later = [asked, {"role": "assistant", "content": "?"}, {"role": "user", "content": "thanks"}]
    first, second = finish(a_draft(messages=[asked])), finish(a_draft(messages=later, response=later[1]))

    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("when", ["drain", "inline", "off"])
def test_feedback_is_redacted_when_the_settings_say(when: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("CONTINUUM_REDACT", when)
    said = checked_feedback("one", comment="write to ann@example.com", user_id="ann")

    draft = feedback_draft(said, load_settings())
    assert ("ann@example.com" in str(draft)) == (when != "inline")
    kept = finish_feedback({**draft["feedback"], "redact": draft.get("redact")})

    assert kept.comment == ("write to ann@example.com" if when == "off" else "write to [EMAIL]")
    assert kept.user_id == hashed_user("ann", user_key())
    assert (kept.id, kept.recorded_at) == (said.id, said.recorded_at)


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("pay with card 4111 1111 111…", "pay with card…"),
        ("write to planted.user@e…", "write to…"),
        ("nothing to hide in these wor…", "nothing to hide in these…"),
        ("whole", "whole"),
    ],
)
def test_half_a_number_at_a_cut_goes_as_well(cut: str, kept: str) -> None:
    one = finish(a_draft(redact="builtin", tags={"note": cut}, messages=[{"role": "user", "content": cut}]))

    assert one.tags["note"] == kept
    assert one.messages[0].text == kept


def test_tool_calls_that_come_as_a_tuple_and_fields_that_nobody_knows_are_read_too() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "mail", "input": {"to": "ann@example.com"}}],
        "tool_calls": ({"id": "1", "function": {"name": "mail", "arguments": '{"to": "ann@example.com"}'}},),
        "metadata": {"from": "ann@example.com"},
    }
    one = finish(a_draft(redact="builtin", response=message, tags={"ann@example.com": "1"}))

    assert "ann@" not in one.model_dump_json()
    assert one.tags == {"[EMAIL]": "1"}
