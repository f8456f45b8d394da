"""Sentence-transformers models as embedders; the model itself is opened when there is a text to embed.

Its name is known before: a hash of its files. A build whose vectors are all kept never starts torch.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from continuum.errors import ConfigurationError

if TYPE_CHECKING:
    from continuum.embedding.sentence_engine import SentenceEngine

SETTINGS = ("config.json", "sentence_bert_config.json", "tokenizer_config.json", "special_tokens_map.json")
VOCABULARIES = ("tokenizer.json", "vocab.txt", "merges.txt", "vocab.json", "*.model")


class SentenceEmbedder:
    """A sentence-transformers model that reads the end of what is too long for it.

    Of a long conversation the end is what is new: cut at its end, as these models do by themselves, consecutive turns have equal
    vectors.

    Args:
        location: a local folder, or a hub id.

    Raises:
        ConfigurationError: there is no such model.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._engine: SentenceEngine | None = None
        folder = local_folder(location)
        if folder is None:
            self._opened()  # A hub id that was never used here: this brings it.
            folder = local_folder(location)
        if folder is None:
            raise ConfigurationError(f"the embedder {location!r} has no folder of weights on this machine; give the path of one")
        # The weights name the vectors: a path says nothing on another machine. `tail` is how long texts are cut.
        self.id = f"sentence-tail-{weights_digest(folder)}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text; equal texts are computed once."""
        distinct = list(dict.fromkeys(texts))
        vectors = self._opened().encode(distinct)
        if len(distinct) == len(texts):
            return vectors
        position = {text: row for row, text in enumerate(distinct)}
        return vectors[[position[text] for text in texts]]

    def _opened(self) -> "SentenceEngine":
        if self._engine is None:
            from continuum.embedding.sentence_engine import SentenceEngine  # torch starts here

            self._engine = SentenceEngine(self.location)
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to a worker: where the model is, never the model."""
        return {"location": self.location, "id": self.id, "_engine": None}


def local_folder(location: str) -> Path | None:
    """The folder of a model on this machine; None where a hub id was never brought here."""
    if Path(location).is_dir():
        return Path(location)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for name in (location, f"sentence-transformers/{location}"):
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
        except (HFValidationError, LocalEntryNotFoundError):
            continue
        if any(_weights(folder, part) for part in _parts(folder)):
            return folder
    return None


def weights_digest(folder: Path) -> str:
    """16 hexadecimal digits of the files that make a model's vectors: weights, vocabulary and settings; torch is not needed.

    Raises:
        ConfigurationError: the folder holds no weights.
    """
    digest = hashlib.sha256()
    parts = _parts(folder)
    if not any(_weights(folder, part) for part in parts):
        raise ConfigurationError(
            f"{folder} holds no weights (*.safetensors or *.bin); give the folder of a sentence-transformers model"
        )
    for file in _files(folder, parts):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _parts(folder: Path) -> list[str]:
    """The folders of a model's modules, its own among them."""
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        return sorted({"", *(str(module["path"]) for module in modules)})
    except FileNotFoundError:
        return [""]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{folder / 'modules.json'} cannot be read: {error}; fetch the model again") from error


def _files(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    yield from sorted(folder.glob("modules.json")) + sorted(folder.glob("config_sentence_transformers.json"))
    for part in parts:
        for pattern in (*SETTINGS, *VOCABULARIES):
            yield from sorted((folder / part).glob(pattern))
        yield from _weights(folder, part)


def _weights(folder: Path, part: str) -> list[Path]:
    """The files of weights that are read: those of safetensors where there are both forms."""
    return sorted((folder / part).glob("*.safetensors")) or sorted((folder / part).glob("*.bin"))
