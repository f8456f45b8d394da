import numpy as np
import pytest

from continuum.embedding.clusters import assign, find_clusters, in_words, join_clusters, packed, silhouette, unpacked
from continuum.embedding.cosines import whole
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ConfigurationError

TEXTS = [f"{question} number {n}" for question in ("refund my order", "trains to bonn", "change password") for n in range(20)]
VECTORS = HashedEmbedder().embed(TEXTS)


def topics(count: int, each: int, dimensions: int = 64, seed: int = 0) -> np.ndarray:
    """Rows around so many directions."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(count, dimensions)), each, axis=0) + 0.35 * rng.normal(size=(count * each, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_same_rows_and_seed_give_the_same_clusters() -> None:
    one, other = find_clusters(VECTORS, seed=3), find_clusters(VECTORS, seed=3)

    assert (one.assigned == other.assigned).all()
    assert (one.centroids == other.centroids).all()


def test_how_a_machine_rounds_its_sums_decides_nothing() -> None:
    order = np.random.default_rng(1).permutation(VECTORS.shape[1])

    # The same rows with their components added up in another order.
    assert (find_clusters(VECTORS[:, order], seed=0).assigned == find_clusters(VECTORS, seed=0).assigned).all()


def test_clusters_do_not_mix_intents() -> None:
    clusters = find_clusters(VECTORS, seed=0)

    for cluster in range(len(clusters.centroids)):
        intents = {row // 20 for row in np.flatnonzero(clusters.assigned == cluster)}
        assert len(intents) == 1


@pytest.mark.parametrize(("count", "each"), [(10, 60), (40, 30)])
def test_there_are_about_as_many_clusters_as_topics(count: int, each: int) -> None:
    found = len(find_clusters(topics(count, each), seed=0).centroids)

    assert 0.7 * count <= found <= 1.3 * count


def test_a_few_strays_are_no_cluster_of_their_own() -> None:
    strays = topics(2, 1, seed=9)
    clusters = find_clusters(np.vstack([topics(10, 60), strays]), seed=0)

    assert np.bincount(clusters.assigned).min() >= 5


def test_the_silhouette_is_best_at_the_true_number() -> None:
    rows = whole(topics(20, 30))
    at = {count: silhouette(rows, find_clusters(topics(20, 30), seed=0, count=count).centroids) for count in (5, 20)}

    assert at[20] > at[5]
    assert silhouette(rows, rows[:1]) == -1


def test_stored_centroids_assign_as_the_first_ones_did() -> None:
    clusters = find_clusters(VECTORS, seed=0)

    frozen = unpacked(packed(clusters, "hashed-384-0"), "hashed-384-0")

    assert (frozen.centroids == clusters.centroids).all()
    assert frozen.floor == clusters.floor
    assert (assign(whole(VECTORS), frozen.centroids).assigned == clusters.assigned).all()


def test_centroids_of_another_embedder_are_refused() -> None:
    stored = packed(find_clusters(VECTORS, seed=0), "hashed-384-0")

    with pytest.raises(ConfigurationError, match=r"hashed-384-0.*sentence-x"):
        unpacked(stored, "sentence-x")


@pytest.mark.parametrize("damage", [{"base64": "%%"}, {"base64": "AAAA"}, {"shape": [1]}, {"shape": "x"}, {"floor": None}])
def test_damaged_centroids_are_refused(damage: dict[str, object]) -> None:
    stored = packed(find_clusters(VECTORS, seed=0), "e") | damage

    with pytest.raises(ConfigurationError, match="cannot be read"):
        unpacked(stored, "e")


def test_a_hundredth_of_the_rows_lies_below_the_floor_at_most() -> None:
    clusters = find_clusters(topics(10, 100), seed=0)

    assert 0 <= (clusters.cosine < clusters.floor).mean() <= 0.01


def test_a_cluster_is_named_by_the_texts_nearest_to_its_middle_in_one_line_each() -> None:
    texts = ["refund\n\nmy   order " + "x" * 500, *TEXTS[1:20]]

    words = in_words(VECTORS[:20], texts, np.arange(20))

    assert 1 <= len(words) <= 3
    assert all("refund" in one and len(one) <= 80 and "\n" not in one for one in words)


def test_equal_texts_are_one_cluster_and_no_text_is_none() -> None:
    assert len(find_clusters(np.repeat(VECTORS[:1], 30, axis=0), seed=0).centroids) == 1
    assert len(find_clusters(VECTORS[:0], seed=0).assigned) == 0
    assert find_clusters(VECTORS[:0], seed=0).floor == -1


def test_joined_clusters_do_not_mix_intents_and_are_as_many_as_asked_for_at_most() -> None:
    clusters = join_clusters(VECTORS, 3, seed=0)

    assert len(clusters.centroids) == 3
    for cluster in range(3):
        assert len({row // 20 for row in np.flatnonzero(clusters.assigned == cluster)}) == 1
    assert len(join_clusters(VECTORS[:2], 5, seed=0).centroids) == 2


def test_of_many_rows_a_sample_is_joined_and_the_others_go_to_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = topics(4, 50)
    monkeypatch.setattr("continuum.embedding.clusters.JOINED_ROWS", 60)

    clusters = join_clusters(rows, 4, seed=0)

    assert len(clusters.assigned) == 200
    assert all(len(set(clusters.assigned[start : start + 50].tolist())) == 1 for start in range(0, 200, 50))


def test_one_row_and_no_row_are_joined_to_what_they_are() -> None:
    assert join_clusters(VECTORS[:1], 4, seed=0).assigned.tolist() == [0]
    assert join_clusters(VECTORS[:0], 4, seed=0).assigned.tolist() == []
