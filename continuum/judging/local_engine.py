"""The engine behind judges that are models of this process: a form that the model fills in, and rewards.

A form is text of ours with gaps. What the model writes into a gap ends at the quote; what it chooses is read from the odds of
the choices, so that no answer of it can fail to be read. One pass over the prompt serves all gaps of a batch.
"""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from continuum.errors import ConfigurationError
from continuum.models.chat_format import encode_texts, render
from continuum.records import Message

CLOSED = re.compile(r'(?<!\\)(?:\\\\)*"|\n')
"""Where a JSON text ends; a line break cannot stand in one."""


@dataclass(frozen=True)
class Gap:
    """A gap of a form."""

    name: str
    lead: str
    """What is written before the words of the model."""
    then: str
    """What is written between its words and its choice."""
    choices: tuple[str, ...]
    """One of them follows; they differ in their first token."""


@dataclass(frozen=True)
class Filled:
    """What the model made of a gap."""

    name: str
    words: str
    odds: tuple[float, ...]
    """The probability of each choice, given that it is one of them."""


Form = tuple[Sequence[Message], Sequence[Gap]]
"""A prompt, and the gaps of the answer to it."""


class FormFiller:
    """A causal language model that fills in forms, greedily; callers from several threads wait for each other.

    Args:
        folder: the model with its tokenizer.

    Raises:
        ConfigurationError: the folder holds no such model, or none with safetensors weights and a chat template.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _tokenizer(folder)
        self._model: PreTrainedModel = _loaded(AutoModelForCausalLM, folder)
        self._keeps_last = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._lock = Lock()
        self._choice = lru_cache(maxsize=64)(self._choice_tokens)
        self.context = _context(self._model)
        """Tokens that the model reads at most; None where its configuration does not say."""

    def tokens(self, prompt: Sequence[Message], gaps: Sequence[Gap], words: int) -> int:
        """How long a form can become."""
        forced = sum(len(self._encode(gap.lead)) + len(self._choice(gap.then, gap.choices)[0]) + 1 for gap in gaps)
        return len(self._prompt(prompt)) + forced + words * len(gaps)

    def fill(self, forms: Sequence[Form], *, words: int) -> list[list[Filled]]:
        """Fill in forms of as many gaps each, all at once.

        Args:
            forms: prompts with their gaps.
            words: tokens that the model may write into a gap.
        """
        with self._lock, torch.inference_mode():
            run = _Run(self._model, self._keeps_last, _pad(self._tokenizer))
            given: list[list[Filled]] = [[] for _ in forms]
            pending = [self._prompt(prompt) for prompt, _ in forms]
            for place in range(max((len(gaps) for _, gaps in forms), default=0)):
                gaps = [form[1][place] for form in forms]
                run.feed([ids + self._encode(gap.lead) for ids, gap in zip(pending, gaps, strict=True)])
                texts = self._write(run, words)
                choices = [self._choice(gap.then, gap.choices) for gap in gaps]
                logits = run.feed([list(forced) for forced, _ in choices])
                pending = []
                for row, (_, tokens) in enumerate(choices):
                    odds = torch.softmax(logits[row, list(tokens)].double(), 0).tolist()
                    given[row].append(Filled(gaps[row].name, texts[row], tuple(odds)))
                    pending.append([tokens[odds.index(max(odds))]])
        return given

    def _write(self, run: "_Run", most: int) -> list[str]:
        """What the model writes in each row, up to the quote that would close it."""
        written: list[list[int]] = [[] for _ in range(len(run.logits))]
        texts = [""] * len(written)
        ended = [False] * len(written)
        ends = _ends(self._model, self._tokenizer)
        for _ in range(most):
            chosen = run.logits.argmax(-1).tolist()
            for row, token in enumerate(chosen):
                if ended[row]:
                    continue
                text = str(self._tokenizer.decode([*written[row], token], skip_special_tokens=True))
                closed = CLOSED.search(text)
                ended[row] = closed is not None or token in ends
                texts[row] = text[: closed.end() - 1] if closed else text
                written[row].append(token)
            if all(ended):
                break
            run.feed([[] if over else tokens[-1:] for tokens, over in zip(written, ended, strict=True)])
        return [_unescaped(text) for text in texts]

    def _prompt(self, prompt: Sequence[Message]) -> list[int]:
        try:
            text = render(self._tokenizer, prompt, answer_next=True)
        except ConfigurationError:
            if not self._tokenizer.chat_template:
                raise
            # Some models know no system role: what it says then opens the user's message.
            joined = Message(role="user", content="\n\n".join(message.text for message in prompt))
            text = render(self._tokenizer, [joined], answer_next=True)
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        return encode_texts(self._tokenizer, [text])[0]

    def _choice_tokens(self, then: str, choices: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens before the choice, and the token that each choice begins with, however the tokenizer joins them."""
        whole = [self._encode(then + choice) for choice in choices]
        shared = next((n for n, tokens in enumerate(zip(*whole, strict=False)) if len(set(tokens)) > 1), 0)
        first = tuple(ids[shared] for ids in whole if len(ids) > shared)
        if len(set(first)) < len(choices):
            raise ConfigurationError(
                f"the tokenizer of {self._tokenizer.name_or_path!r} does not tell {', '.join(choices)} apart by one token; "
                "take another model as the judge"
            )
        return tuple(whole[0][:shared]), first


class RewardScorer:
    """A sequence classifier with one output.

    Args:
        folder: the model with its tokenizer.

    Raises:
        ConfigurationError: the folder holds no such model.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _tokenizer(folder)
        self._model: PreTrainedModel = _loaded(AutoModelForSequenceClassification, folder)
        outputs = self._model.config.num_labels
        if outputs != 1:
            raise ConfigurationError(f"the model in {folder} has {outputs} outputs; a reward model has one")
        # The reward is read at the last token that is not this one.
        self._model.config.pad_token_id = _pad(self._tokenizer)
        self._model.config.get_text_config().pad_token_id = _pad(self._tokenizer)
        self._context = _context(self._model)
        self._lock = Lock()

    def rewards(self, cases: Sequence[tuple[Sequence[Message], Message]], *, batch_size: int = 8) -> list[float]:
        """The reward of each answer, on the model's own scale; of a longer conversation its end is read."""
        found = [0.0] * len(cases)
        texts = [render(self._tokenizer, (*conversation, response), answer_next=False) for conversation, response in cases]
        rows = [ids[-self._context :] if self._context else ids for ids in encode_texts(self._tokenizer, texts)]
        with self._lock, torch.inference_mode():
            for batch in _by_length(rows, batch_size):
                ids, mask = _left_padded([rows[n] for n in batch], _pad(self._tokenizer), self._model.device)
                positions = (mask.cumsum(1) - 1).clamp(min=0)
                accepts = "position_ids" in inspect.signature(self._model.forward).parameters
                logits = self._model(
                    input_ids=ids, attention_mask=mask, **({"position_ids": positions} if accepts else {})
                ).logits
                for n, reward in zip(batch, logits[:, 0].double().tolist(), strict=True):
                    found[n] = reward
        return found


class _Run:
    """A batch that grows on the right: every row by as many tokens as it has, what is shorter is padded and masked."""

    def __init__(self, model: PreTrainedModel, keeps_last: bool, pad: int) -> None:
        self._model = model
        self._options: dict[str, Any] = {"logits_to_keep": 1} if keeps_last else {}
        self._pad = pad
        self._cache: Any = None
        self._mask: torch.Tensor | None = None
        self.logits = torch.empty(0)
        """Of each row, after its last token."""

    def feed(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """Append tokens to each row; a row without any stays as it is."""
        ids, mask = _left_padded(rows, self._pad, self._model.device)
        if not ids.shape[1]:
            return self.logits
        self._mask = mask if self._mask is None else torch.cat([self._mask, mask], dim=1)
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        output = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **self._options,
        )
        self._cache = output.past_key_values
        latest = output.logits[:, -1]
        grown = torch.tensor([bool(row) for row in rows], device=latest.device)
        self.logits = torch.where(grown[:, None], latest, self.logits) if len(self.logits) else latest
        return self.logits


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    _require_local(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _no_model(folder) from error
    if not tokenizer.chat_template:
        raise ConfigurationError(f"the tokenizer in {folder} has no chat template; take an instruction-tuned model as the judge")
    return tokenizer


def _loaded(kind: Any, folder: Path) -> PreTrainedModel:
    on_gpu = torch.cuda.is_available()
    disable_progress_bar()
    try:
        return kind.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            device_map="cuda" if on_gpu else None,
        ).eval()
    except (OSError, ValueError) as error:
        raise _no_model(folder) from error


def _require_local(folder: Path) -> None:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise _no_model(folder)


def _no_model(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} holds no model that can judge: it takes a local folder with config.json, safetensors weights and a tokenizer, "
        "of a kind that transformers knows without code from elsewhere"
    )


def _context(model: PreTrainedModel) -> int | None:
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _pad(tokenizer: PreTrainedTokenizerBase) -> int:
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in known if isinstance(token, int)), 0)


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = configured if isinstance(configured, list) else [configured]
    return {end for end in (*ends, tokenizer.eos_token_id) if isinstance(end, int)}


def _left_padded(rows: Sequence[list[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max((len(row) for row in rows), default=0)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], dtype=torch.long, device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], dtype=torch.long, device=device)
    return ids, mask


def _by_length(rows: Sequence[list[int]], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda n: (len(rows[n]), n))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
