"""Plain documents, which no chat template surrounds, as the tokens that a language model reads."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from continuum.models.chat_format import IGNORED, EncodedTurn, encode_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST_TEXT = 512
"""Tokens of a plain document that are read; what comes after says little more and costs memory."""
TEXT_BATCH = 2048
"""Tokens read at once, padding included: with 150,000 words in a vocabulary their logits take 1.2 GB in single precision."""


def encode_documents(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], limit: int) -> list[EncodedTurn]:
    """Plain documents as rows whose every token is labelled, behind the token that opens a text, or ends the one before."""
    opening = tokenizer.bos_token_id if isinstance(tokenizer.bos_token_id, int) else tokenizer.eos_token_id
    start = [opening] if isinstance(opening, int) else []
    rows = []
    for ids in encode_texts(tokenizer, texts):
        kept = ids[: limit - len(start)]
        # Nothing comes before the first token of a row, so whatever stands there is never predicted.
        rows.append(EncodedTurn(start + kept, [IGNORED] * len(start) + kept))
    return rows


def by_tokens(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, each at most so many tokens with its padding; a longer one stands alone."""
    batch: list[int] = []
    for n in sorted(range(len(lengths)), key=lambda n: (lengths[n], n)):
        if batch and (len(batch) + 1) * lengths[n] > most:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch
