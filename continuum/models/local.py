"""A language model in this process: the base weights once, any number of LoRA adapters on top of them.

Answers are greedy, so the same weights and the same question give the same words.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from peft import LoraModel, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from continuum.errors import ConfigurationError
from continuum.models.chat import Usage
from continuum.models.chat_format import IGNORED, EncodedTurn, Turn, encode_prompts, encode_turns, parse_answer
from continuum.models.documents import LONGEST_TEXT, TEXT_BATCH, by_tokens, encode_documents
from continuum.provenance.plain_files import require_no_pickle
from continuum.records import Message

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
NO_ADAPTER = "__base__"
"""PEFT's name for a row of a batch that the base model answers."""


@dataclass(frozen=True)
class Answer:
    """What the model said and how many tokens it took."""

    message: Message
    usage: Usage


class LocalModel:
    """A base model and its adapters; calls from several threads wait for each other.

    Args:
        base_model: a local path, or a hub id, which is downloaded when it is not in the local cache.

    Raises:
        ConfigurationError: there is no such model, or it has no safetensors weights.
    """

    def __init__(self, base_model: str | Path) -> None:
        self.base_model = str(base_model)
        self.tokenizer = load_tokenizer(base_model)
        self._base = load_base(base_model).eval()
        self._adapted: PeftModel | None = None
        self._slots: dict[str, str] = {}
        self._loaded = 0
        self._lock = Lock()

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that can answer now."""
        return tuple(self._slots)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Make an adapter ready under a name; a name that is taken gets the new weights.

        Raises:
            ConfigurationError: the folder has no safetensors weights, or they do not fit the base model.
            StoreError: the folder holds a pickle, a broken file, or a link that leads out of it.
        """
        require_safetensors(folder)
        require_no_pickle(folder)
        with self._lock:
            # PEFT keeps adapters as torch modules, whose names may not hold dots; task names may.
            slot = f"adapter_{self._loaded}"
            self._loaded += 1
            try:
                with quiet_peft():
                    if self._adapted is None:
                        self._adapted = PeftModel.from_pretrained(self._base, str(folder), adapter_name=slot).eval()
                    else:
                        self._adapted.load_adapter(str(folder), adapter_name=slot)
            except (RuntimeError, ValueError) as error:
                self._drop_half_loaded(slot)
                raise ConfigurationError(f"the adapter at {folder} does not fit the base model {self.base_model}") from error
            replaced = self._slots.get(name)
            self._slots[name] = slot
            if replaced is not None:
                self._delete(replaced, instead=slot)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter; one that is not loaded is no error."""
        with self._lock:
            slot = self._slots.pop(name, None)
            if slot is None or self._adapted is None:
                return
            if self._slots:
                self._delete(slot, instead=next(iter(self._slots.values())))
            else:
                self._base = self._adapted.unload()
                self._adapted = None

    def answer(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: str | Sequence[str | None] | None = None,
        max_new_tokens: int = 96,
        batch_size: int = 64,
    ) -> list[Answer]:
        """The model's answers, in the order of the conversations.

        Args:
            conversations: each ends where the assistant is to speak; a longer one than the model reads loses its beginning.
            adapter: who answers: None for the base, one adapter for all, or one for each conversation.
            max_new_tokens: the longest answer, in tokens; at most half of what the model reads.
            batch_size: conversations answered at once.

        Raises:
            ConfigurationError: an adapter is not loaded.
        """
        names = [adapter] * len(conversations) if adapter is None or isinstance(adapter, str) else list(adapter)
        with self._lock:
            slots = [self._slot(name) for name in names]
            # A question may never be crowded out of a short context by room for the answer.
            max_new_tokens = min(max_new_tokens, max(1, (self._context or 2 * max_new_tokens) // 2))
            prompts = encode_prompts(self.tokenizer, conversations, self._room(max_new_tokens))
            answers: list[Answer | None] = [None] * len(prompts)
            for batch in by_length([len(prompt) for prompt in prompts], batch_size):
                written = self._generate([prompts[n] for n in batch], [slots[n] for n in batch], max_new_tokens)
                for n, tokens in zip(batch, written, strict=True):
                    message = parse_answer(str(self.tokenizer.decode(tokens, skip_special_tokens=True)))
                    answers[n] = Answer(message, Usage(len(prompts[n]), len(tokens)))
        return [answer for answer in answers if answer is not None]

    def loss(self, examples: Sequence[Turn], *, adapter: str | None = None, batch_size: int = 16) -> list[float]:
        """How surprised the model is by each answer: mean nats per token of the answer, its end included.

        Raises:
            ConfigurationError: the adapter is not loaded.
        """
        with self._lock:
            model = self._ready(self._slot(adapter))
            rows = encode_turns(self.tokenizer, examples, self._context)
            return answer_losses(model, rows, pad_id(self.tokenizer), batch_size)

    def text_loss(self, texts: Sequence[str], *, adapter: str | None = None, batch_tokens: int = TEXT_BATCH) -> list[float]:
        """How surprised the model is by plain documents: mean nats per token of each, without a chat template.

        A document is read from its start, up to `LONGEST_TEXT` tokens or what the model reads at all. Its first token counts
        too where the tokenizer has a token that opens a text or ends one. In single precision a document's figure does not
        depend on those it is read together with, within 1e-5; in half precision it may by more, but the same documents in
        the same order always give the same figures. A document without tokens has 0.

        Raises:
            ConfigurationError: the adapter is not loaded.
        """
        with self._lock:
            model = self._ready(self._slot(adapter))
            limit = min(LONGEST_TEXT, self._context or LONGEST_TEXT)
            rows = encode_documents(self.tokenizer, texts, limit)
            losses = [0.0] * len(rows)
            # In one token nothing is predicted.
            read = [n for n, row in enumerate(rows) if len(row.input_ids) > 1]
            for batch in by_tokens([len(rows[n].input_ids) for n in read], batch_tokens):
                found = batch_losses(model, [rows[read[k]] for k in batch], pad_id(self.tokenizer))
                for k, loss in zip(batch, found, strict=True):
                    losses[read[k]] = loss
        return losses

    @contextmanager
    def switched_to(self, adapter: str | None) -> Iterator[PreTrainedModel | PeftModel]:
        """The weights with one adapter switched on, or none, for whoever runs them in another way; others wait meanwhile.

        Raises:
            ConfigurationError: the adapter is not loaded.
        """
        with self._lock:
            yield self._ready(self._slot(adapter))

    def _delete(self, slot: str, *, instead: str) -> None:
        if self._adapted is not None:
            # PEFT warns when it has to choose which adapter is active next.
            self._adapted.set_adapter(instead)
            self._adapted.delete_adapter(slot)

    def _drop_half_loaded(self, slot: str) -> None:
        if self._adapted is None:
            self._base = load_base(self.base_model).eval()
        elif slot in self._adapted.peft_config:
            self._delete(slot, instead=next(iter(self._slots.values())))

    def _slot(self, name: str | None) -> str:
        if name is None:
            return NO_ADAPTER
        if name not in self._slots:
            loaded = ", ".join(self._slots) or "none"
            raise ConfigurationError(f"adapter {name!r} is not loaded (loaded: {loaded}); load it first")
        return self._slots[name]

    @property
    def _lora(self) -> LoraModel:
        assert self._adapted is not None and isinstance(self._adapted.base_model, LoraModel)  # noqa: S101, PT018 - only LoRA is loaded
        return self._adapted.base_model

    def _ready(self, slot: str) -> PreTrainedModel | PeftModel:
        """The model with one adapter switched on, or with none."""
        if self._adapted is None:
            return self._base
        if slot == NO_ADAPTER:
            self._lora.disable_adapter_layers()
        else:
            self._lora.enable_adapter_layers()
            self._adapted.set_adapter(slot)
        return self._adapted

    @property
    def _context(self) -> int | None:
        return context_of(self._base)

    def _room(self, max_new_tokens: int) -> int | None:
        return None if self._context is None else self._context - max_new_tokens

    def _generate(self, prompts: list[list[int]], slots: list[str], max_new_tokens: int) -> list[list[int]]:
        model = self._ready(next((slot for slot in slots if slot != NO_ADAPTER), NO_ADAPTER))
        mixed = {"adapter_names": slots} if len(set(slots)) > 1 else {}
        return greedy_answers(model, self.tokenizer, prompts, max_new_tokens, **mixed)


def load_tokenizer(base_model: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, with a padding token.

    Raises:
        ConfigurationError: there is none at this path or hub id.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base_model))
    except (OSError, ValueError) as error:
        raise _no_model(base_model) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(base_model: str | Path, *, dtype: torch.dtype | None = None, quantization: Any = None) -> PreTrainedModel:
    """The weights of a base model from safetensors: on a GPU in half precision where there is one, else on the CPU.

    Args:
        base_model: a local path or a hub id.
        dtype: of the weights in memory; None for bfloat16 on a GPU and float32 on a CPU.
        quantization: transformers' configuration of weights in fewer bits; None for none.

    Raises:
        ConfigurationError: there is no such model, it has no safetensors weights, or it is an adapter.
    """
    if (Path(base_model) / ADAPTER_CONFIG).is_file():
        # transformers would load the adapter too, by rules of its own, or go to the base that the adapter names.
        raise ConfigurationError(f"{base_model} holds an adapter ({ADAPTER_CONFIG}); give the base model that it was trained on")
    on_gpu = torch.cuda.is_available()
    disable_progress_bar()
    # Of several processes that train together each has a GPU of its own.
    gpu = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(base_model),
            use_safetensors=True,
            dtype=dtype or (torch.bfloat16 if on_gpu else torch.float32),
            device_map=gpu if on_gpu else None,
            **({"quantization_config": quantization} if quantization is not None else {}),
        )
    except (OSError, ValueError) as error:
        raise _no_model(base_model) from error
    # Sampling defaults that a model ships with have no part in greedy answers.
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    model.generation_config = GenerationConfig(eos_token_id=ends)
    return model


def context_of(model: PreTrainedModel) -> int | None:
    """Tokens the model reads at most; None where its configuration does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence the deprecation that PEFT 0.21 sets off in transformers 5.23 whenever it wraps a model."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield


def require_safetensors(folder: Path) -> None:
    """Refuse an adapter without safetensors weights: PEFT would look for a pickle and run it.

    Raises:
        ConfigurationError: the folder holds none.
    """
    if not (Path(folder) / ADAPTER_WEIGHTS).is_file():
        raise ConfigurationError(f"{folder} holds no {ADAPTER_WEIGHTS}; only adapters saved as safetensors are loaded")


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills a batch; its value is never looked at."""
    return tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0


def padded(rows: Sequence[EncodedTurn], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Input ids, attention mask and labels of a batch, padded on the right."""
    width = max(len(row.input_ids) for row in rows)
    ids = torch.tensor([row.input_ids + [pad] * (width - len(row.input_ids)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows], device=device)
    labels = torch.tensor([row.labels + [IGNORED] * (width - len(row.labels)) for row in rows], device=device)
    return ids, mask, labels


def answer_losses(model: torch.nn.Module, rows: Sequence[EncodedTurn], pad: int, batch_size: int = 16) -> list[float]:
    """Mean negative log-likelihood, in nats per answer token, of each row."""
    losses = [0.0] * len(rows)
    for batch in by_length([len(row.input_ids) for row in rows], batch_size):
        for n, loss in zip(batch, batch_losses(model, [rows[n] for n in batch], pad), strict=True):
            losses[n] = loss
    return losses


@torch.inference_mode()
def batch_losses(model: torch.nn.Module, rows: Sequence[EncodedTurn], pad: int) -> list[float]:
    """Mean negative log-likelihood, in nats per labelled token, of each row of one batch; 0 for a row without labels."""
    ids, mask, labels = padded(rows, pad, next(model.parameters()).device)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    targets = labels[:, 1:]
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    return (nats.sum(1) / (targets != IGNORED).sum(1).clamp(min=1)).tolist()


@torch.inference_mode()
def greedy_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    **options: Any,
) -> list[list[int]]:
    """The tokens that a model in evaluation mode answers each prompt with, its end token included.

    Args:
        model: the base, with or without adapters.
        tokenizer: the base's.
        prompts: one batch, token ids, padded here on the left.
        max_new_tokens: the longest answer, in tokens.
        options: passed to `generate`.
    """
    width = max(len(prompt) for prompt in prompts)
    pad = pad_id(tokenizer)
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    ends = _end_ids(model, tokenizer)
    config = GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, pad_token_id=pad, eos_token_id=ends)
    output = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, **options)  # pyright: ignore[reportCallIssue]
    return [_until_end(row, ends) for row in output[:, width:].tolist()]


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda n: (lengths[n], n))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _end_ids(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    ends = configured if isinstance(configured, list) else [configured]
    return sorted({end for end in (*ends, tokenizer.eos_token_id) if isinstance(end, int)})


def _until_end(tokens: list[int], ends: list[int]) -> list[int]:
    stop = next((n for n, token in enumerate(tokens) if token in ends), None)
    return tokens if stop is None else tokens[: stop + 1]


def _no_model(base_model: str | Path) -> ConfigurationError:
    return ConfigurationError(
        f"no base model with a tokenizer and safetensors weights at {str(base_model)!r}; give a local folder or a hub id, "
        "or build one with: continuum base build --task TASK"
    )
