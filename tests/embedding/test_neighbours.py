import numpy as np
import pytest

from continuum.embedding.embedder import HashedEmbedder
from continuum.embedding.neighbours import NearestAnswer, nearest
from continuum.errors import NotEnoughData
from tests.builders import an_example, user


def test_neighbours_come_nearest_first() -> None:
    corpus = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)

    found = nearest(np.array([[0, 1]], dtype=np.float32), corpus, 2)

    assert found.position.tolist() == [[1, 2]]
    assert np.allclose(found.cosine, [[1, 0.8]])


def test_asking_for_more_than_there_is_gives_what_there_is() -> None:
    corpus = np.eye(2, dtype=np.float32)

    assert nearest(corpus, corpus, 5).position.shape == (2, 2)
    assert nearest(corpus, np.zeros((0, 2), dtype=np.float32), 5).position.shape == (2, 0)


def test_the_answer_of_the_most_similar_example_is_repeated() -> None:
    examples = [an_example("Where is my parcel?", "On its way."), an_example("I want a refund", "Done.")]

    answers = NearestAnswer(examples, HashedEmbedder()).answer([[user("a refund please")], [user("is my parcel there?")]])

    assert [answer.text for answer in answers] == ["Done.", "On its way."]


def test_without_examples_there_is_nothing_to_look_up() -> None:
    with pytest.raises(NotEnoughData, match="at least 1 example, found 0"):
        NearestAnswer([], HashedEmbedder())
