import numpy as np

from continuum.curation.clusters import assign, cluster_table, coverage, find_clusters, packed
from continuum.embedding.embedder import HashedEmbedder

TEXTS = [f"{question} number {n}" for question in ("refund my order", "trains to bonn", "change password") for n in range(20)]
VECTORS = HashedEmbedder().embed(TEXTS)


def test_the_same_rows_and_seed_give_the_same_clusters() -> None:
    one, other = find_clusters(VECTORS, seed=3), find_clusters(VECTORS, seed=3)

    assert (one.assigned == other.assigned).all()
    assert (one.centroids == other.centroids).all()


def test_clusters_do_not_mix_intents() -> None:
    clusters = find_clusters(VECTORS, seed=0)

    for cluster in range(len(clusters.centroids)):
        intents = {row // 20 for row in np.flatnonzero(clusters.assigned == cluster)}
        assert len(intents) == 1


def test_coverage_is_the_share_of_clusters_with_a_pick() -> None:
    clusters = find_clusters(VECTORS, seed=0)

    assert coverage(clusters, range(60)) == 1.0
    assert 0 < coverage(clusters, range(20)) < 1
    assert coverage(clusters, []) == 0.0


def test_the_table_names_clusters_by_their_nearest_texts_and_accounts_for_all() -> None:
    clusters = find_clusters(VECTORS, seed=0)

    table = cluster_table(clusters, VECTORS, TEXTS, chosen=range(10))

    assert sum(row["eligible"] for row in table) == 60
    assert sum(row["selected"] for row in table) == 10
    assert all(row["examples"] and len(row["examples"]) <= 3 for row in table)


def test_stored_centroids_assign_as_the_first_ones_did() -> None:
    clusters = find_clusters(VECTORS, seed=0)
    from base64 import b64decode

    stored = packed(clusters.centroids)
    centroids = np.frombuffer(b64decode(stored["base64"]), dtype=stored["dtype"]).reshape(stored["shape"]).astype(np.float32)

    assert (assign(VECTORS, centroids) == clusters.assigned).mean() > 0.95


def test_equal_texts_are_one_cluster_and_no_text_is_none() -> None:
    assert len(find_clusters(np.repeat(VECTORS[:1], 30, axis=0), seed=0).centroids) == 1
    assert coverage(find_clusters(VECTORS[:0], seed=0), []) == 0.0
