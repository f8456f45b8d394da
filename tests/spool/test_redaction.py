import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import ConfigurationError
from continuum.spool.redaction import Redactor, redact_message, redactor_named

BUILTIN = redactor_named("builtin")


def redacted(message: dict) -> dict:
    return redact_message(message, BUILTIN)


def arguments_after(arguments: str) -> str:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "send", "arguments": arguments}}]
    return redacted({"role": "assistant", "content": None, "tool_calls": calls})["tool_calls"][0]["function"]["arguments"]


def test_the_words_of_a_message_are_redacted_and_the_message_itself_is_left() -> None:
    message = {"role": "user", "name": "jane", "content": "I am jane@example.com"}

    assert redacted(message) == {"role": "user", "name": "jane", "content": "I am [EMAIL]"}
    assert message["content"] == "I am jane@example.com"


def test_text_parts_are_redacted_and_images_sound_and_files_never_touched() -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"jane@example.com" * 9).decode()
    parts = [
        {"type": "text", "text": "call +49 30 1234567"},
        {"type": "input_text", "text": "mail jane@example.com"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "input_audio", "input_audio": {"data": "4111111111111111", "format": "wav"}},
        {"type": "refusal", "refusal": "I cannot mail jane@example.com"},
        "jane@example.com",
    ]

    first, second, *untouched, refusal, bare = redacted({"role": "user", "content": parts})["content"]

    assert (first["text"], second["text"]) == ("call [PHONE]", "mail [EMAIL]")
    assert untouched == parts[2:4]
    assert refusal["refusal"] == "I cannot mail [EMAIL]"
    assert bare == "[EMAIL]"


def test_refusals_reasoning_and_transcripts_are_words_too() -> None:
    found = redacted(
        {
            "role": "assistant",
            "content": None,
            "refusal": "no jane@example.com",
            "reasoning_content": "a@b.com",
            "audio": {"id": "x", "transcript": "a@b.com"},
        }
    )

    assert found["refusal"] == "no [EMAIL]"
    assert found["reasoning_content"] == "[EMAIL]"
    assert found["audio"] == {"id": "x", "transcript": "[EMAIL]"}


def test_tool_arguments_stay_json_and_numbers_become_placeholders() -> None:
    arguments = {"to": ["jane@example.com"], "card": 4111111111111111, "order": 4711, "price": 12.5, "gift": True, "note": None}

    assert json.loads(arguments_after(json.dumps(arguments))) == {**arguments, "to": ["[EMAIL]"], "card": "[CARD]"}


def test_the_name_of_an_argument_says_what_a_bare_number_is() -> None:
    assert json.loads(arguments_after('{"customer": {"phone": "6175550123"}, "order_id": "6175550123"}')) == {
        "customer": {"phone": "[PHONE]"},
        "order_id": "6175550123",
    }
    assert json.loads(arguments_after('{"phone": 6175550123}')) == {"phone": "[PHONE]"}
    assert json.loads(arguments_after('{"password": "swordfish", "hint": "a fish"}')) == {
        "password": "[SECRET]",
        "hint": "a fish",
    }


def test_arguments_with_nothing_personal_come_back_to_the_letter() -> None:
    arguments = '{ "city":"Z\\u00fcrich" , "price": 1.10,"big": 123456789012345678901234567890 }'
    assert arguments_after(arguments) == arguments


@pytest.mark.parametrize("arguments", ['{"to": "jane@example.com"', "to jane@example.com", "[" * 5000 + '"jane@example.com"'])
def test_arguments_that_are_no_json_are_redacted_as_text(arguments: str) -> None:
    assert "jane" not in arguments_after(arguments)


def test_deep_json_is_redacted_whatever_its_depth() -> None:
    assert "jane" not in arguments_after("[" * 400 + '"jane@example.com"' + "]" * 400)


def test_names_of_json_fields_are_redacted_too() -> None:
    assert json.loads(arguments_after('{"jane@example.com": 1}')) == {"[EMAIL]": 1}


def test_the_json_a_tool_answers_with_and_custom_calls_are_redacted() -> None:
    assert json.loads(redacted({"role": "tool", "content": '{"iban": "DE89370400440532013000", "n": 3}'})["content"]) == {
        "iban": "[IBAN]",
        "n": 3,
    }
    call = {"type": "custom", "custom": {"name": "sql", "input": "where mail = 'jane@example.com'"}}
    assert redacted({"role": "assistant", "tool_calls": [call]})["tool_calls"][0]["custom"]["input"] == "where mail = '[EMAIL]'"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=12,
    )
)
@settings(max_examples=150)
def test_json_is_json_afterwards_and_a_second_time_changes_nothing(value: object) -> None:
    message = {"role": "tool", "content": json.dumps([value])}
    once = redacted(message)

    json.loads(once["content"])
    assert redacted(once) == once


def test_the_builtin_redactor_has_a_name_and_a_version() -> None:
    assert isinstance(BUILTIN, Redactor)
    assert (BUILTIN.name, BUILTIN.version) == ("builtin", "builtin-1")
    assert redactor_named("builtin") is BUILTIN


def test_an_unknown_redactor_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"no redactor 'mine'; there are: builtin, presidio"):
        redactor_named("mine")


def test_a_package_brings_a_redactor_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "shouting.py").write_text(
        "class Shouting:\n    name = 'shouting'\n    version = 'shouting-3'\n"
        "    def redact(self, text):\n        return text.upper()\nbroken = 7\n"
    )
    info = tmp_path / "shouting-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 3.0\n")
    (info / "entry_points.txt").write_text(
        "[continuum.redactors]\nshouting = shouting:Shouting\nbroken = shouting:broken\ngone = nowhere:Gone\n"
    )
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from continuum.errors import ConfigurationError
from continuum.spool.redaction import redact_message, redactor_named
redactor = redactor_named("shouting")
print(redactor.version, redact_message({{"role": "user", "content": "hi"}}, redactor)["content"])
for name in ("broken", "gone", "missing"):
    try:
        redactor_named(name)
    except ConfigurationError as error:
        print(error)
"""
    lines = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()

    assert lines[0] == "shouting-3 HI"
    assert "'broken' of continuum.redactors gives a int" in lines[1]
    assert "'gone' of continuum.redactors cannot be loaded" in lines[2]
    assert lines[3] == "there is no redactor 'missing'; there are: builtin, presidio, broken, gone, shouting"


def test_redacting_loads_nothing_heavy() -> None:
    program = (
        "import sys; from continuum.spool.redaction import redactor_named; "
        "redactor_named('builtin').redact('a@b.com'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"spacy", "presidio_analyzer", "numpy"}.isdisjoint(loaded)
