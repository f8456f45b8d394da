"""Which family a model is of, read from its name: a model favours answers of its own kind, so its family should not judge it."""

import re
from collections.abc import Iterable

# What stands in names of each family's models. A digit is asked for where the bare word is common; what only looks like a
# family's word (dolphin, ollama, groq, gptq) begins or ends inside another, which the pattern around these keeps out.
FAMILIES = {
    "gpt": r"(?:chat|gh)?gpt[-_]?(?:\d|oss|image|realtime|audio)|chatgpt|o[1-9](?![a-z0-9])|codex|text-davinci|davinci-00",
    "claude": r"claude",
    "gemini": r"gemini|gemma|codegemma|medgemma|palm-?2|text-bison|chat-bison",
    "llama": r"(?:code|tiny|meta)?-?llama|vicuna|alpaca|tulu|nous-hermes|hermes-[234]",
    "mistral": r"mistral|mixtral|ministral|magistral|codestral|devstral|pixtral|mathstral|zephyr",
    "qwen": r"qwen|codeqwen|qwq|qvq",
    "deepseek": r"deepseek",
    "phi": r"phi[-_]?\d",
    "command": r"command(?:[-_]|$)|c4ai|aya[-_]",
    "grok": r"grok",
    "nova": r"nova[-_](?:micro|lite|pro|premier)|titan-text",
    "kimi": r"kimi|moonshot",
    "glm": r"(?:chat)?glm[-_]?\d?",
    "nemotron": r"nemotron",
    "granite": r"granite",
    "yi": r"yi-(?:\d|large|lightning)",
    "falcon": r"falcon",
    "olmo": r"olmo",
    "jamba": r"jamba",
    "smollm": r"smollm",
    "internlm": r"internlm",
    "baichuan": r"baichuan",
    "ernie": r"ernie",
    "hunyuan": r"hunyuan",
    "doubao": r"doubao",
    "minimax": r"minimax|abab\d",
    "exaone": r"exaone",
    "pythia": r"pythia|gpt-neo|gpt-j",
    "bloom": r"bloomz?(?![a-z])",
}
PATTERN = re.compile("|".join(rf"(?<![a-z])(?P<{name}>{words})" for name, words in FAMILIES.items()))
OWNER = re.compile(r"^(?:/home|/users|[a-z]:/users)/[^/]+", re.IGNORECASE)
"""Whose folder a path lies in says nothing of the model."""


def family_of(model_name: str) -> str | None:
    """The family of a model, like `gpt` or `llama`; None where the name does not tell.

    Providers' prefixes, fine-tunes (`ft:gpt-4o-mini:acme::1`) and paths are read as well: the part nearest to the end that
    tells decides, and in it the word that stands first.
    """
    return next(iter(_families_of(model_name)), None)


def warn_if_related(judge_name: str, judged_models: Iterable[str]) -> str | None:
    """A sentence that says so where a judge, or one of a jury, is of one family with a model that it judges; else None.

    Args:
        judge_name: the judge's name; that of a jury or an escalation holds its members'.
        judged_models: names of the models whose answers are judged, and of the base models they were tuned from.
    """
    judges = [name for part in re.split(r"[(),]", judge_name) if (name := part.strip())]
    models = list(dict.fromkeys(judged_models))
    for judge in judges:
        families = _families_of(judge)
        related = {model: shared[0] for model in models if (shared := [f for f in families if f in _families_of(model)])}
        if related:
            family = next(iter(related.values()))
            return (
                f"judge {judge!r} and {', '.join(map(repr, related))} are both of the {family} family, and models favour answers "
                "of their own kind; judge with a model of another family, or with a jury of several"
            )
    return None


def _families_of(model_name: str) -> tuple[str, ...]:
    """All families in the part of the name that tells: a distilled model is of its teacher's and of its own base's."""
    name = OWNER.sub("", model_name.replace("\\", "/").lower())
    if name.startswith("ft:"):  # What follows the base model is the customer's own wording.
        name = name.split(":")[1]
    found = ([str(match.lastgroup) for match in PATTERN.finditer(part)] for part in reversed(name.split("/")))
    return tuple(next(filter(None, found), ()))
