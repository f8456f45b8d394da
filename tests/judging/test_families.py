import pytest

from continuum.judging.families import family_of, warn_if_related


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o", "gpt"),
        ("openai/gpt-4.1-mini", "gpt"),
        ("ft:gpt-4o-mini:acme:llama-like:1", "gpt"),
        ("o3-mini", "gpt"),
        ("chatgpt-4o-latest", "gpt"),
        ("gpt-35-turbo", "gpt"),
        ("gpt-oss-120b", "gpt"),
        ("claude-sonnet-4", "claude"),
        ("us.anthropic.claude-3-haiku-v1:0", "claude"),
        ("gemini-2.0-flash", "gemini"),
        ("google/gemma-2-9b-it", "gemini"),
        ("meta-llama/Llama-3-8B", "llama"),
        ("TheBloke/Llama-2-7B-GPTQ", "llama"),
        ("groq/llama-3.3-70b", "llama"),
        ("llama3.2:3b", "llama"),
        ("codellama-7b", "llama"),
        ("ollama/mistral", "mistral"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("DeepSeek-R1-Distill-Qwen-7B", "deepseek"),
        ("microsoft/phi-2", "phi"),
        ("command-r-plus", "command"),
        ("grok-4", "grok"),
        ("/models/hub/models--Qwen--Qwen2.5-7B/snapshots/1a2b3c", "qwen"),
        ("C:\\models\\Llama-3-8B\\checkpoint-500", "llama"),
        ("/home/claude/models/ours", None),
        ("dolphin-2.6", None),
        ("support-v3", None),
        ("sim-gpt", None),
        ("", None),
    ],
)
def test_a_model_s_family_is_read_from_its_name(name: str, family: str | None) -> None:
    assert family_of(name) == family


def test_a_judge_of_the_family_it_judges_is_told_of() -> None:
    warning = warn_if_related("gpt-4o", ["claude-sonnet-4", "ft:gpt-4o-mini:acme::1"])
    assert warning is not None
    assert "judge 'gpt-4o' and 'ft:gpt-4o-mini:acme::1' are both of the gpt family" in warning


def test_one_related_judge_of_a_jury_is_told_of() -> None:
    warning = warn_if_related("jury(claude-sonnet-4,escalating(proxy,llama-3-70b))", ["Qwen/Qwen2.5-7B", "meta-llama/Llama-3-8B"])
    assert warning is not None
    assert "'llama-3-70b' and 'meta-llama/Llama-3-8B'" in warning


def test_a_distilled_model_is_related_to_its_teacher_and_to_its_base() -> None:
    for judge in ("deepseek-chat", "qwen-max"):
        assert warn_if_related(judge, ["DeepSeek-R1-Distill-Qwen-7B"])
    assert warn_if_related("llama-3-8b", ["DeepSeek-R1-Distill-Qwen-7B"]) is None


def test_of_what_is_unknown_nothing_is_said() -> None:
    assert warn_if_related("sim-judge", ["sim-gpt", "support-v3"]) is None
    assert warn_if_related("gpt-4o", []) is None
