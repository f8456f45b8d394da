import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.similarity.minhash import LARGEST_BUCKET, candidates, resemblance, signatures

SENTENCE = "i was charged twice for the same order and would like to have the second payment returned"


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(1, 5))
def test_a_sketch_depends_on_the_text_alone_however_texts_are_batched(texts: list[str], size: int) -> None:
    parts = [signatures(texts[begin : begin + size]) for begin in range(0, len(texts), size)]

    assert np.array_equal(signatures(texts), np.concatenate([np.empty((0, 128), dtype="<u2"), *parts]))


def test_a_text_longer_than_a_batch_has_the_sketch_that_it_has_alone() -> None:
    long = " ".join(f"word{n}" for n in range(30_000))

    assert np.array_equal(signatures([SENTENCE, long, SENTENCE])[1], signatures([long])[0])


def test_the_estimate_is_near_the_share_of_runs_that_two_texts_have_in_common() -> None:
    left, right = SENTENCE, SENTENCE.replace("payment", "transfer")
    runs = [{text[at : at + 4] for at in range(len(text) - 3)} for text in (left, right)]
    exact = len(runs[0] & runs[1]) / len(runs[0] | runs[1])

    estimate = resemblance(signatures([left, right]), np.array([0]), np.array([1]))

    assert estimate[0] == pytest.approx(exact, abs=0.15)


def test_scripts_of_more_bytes_are_cut_by_characters() -> None:
    texts = ["我想取消昨天的订单并要求退款谢谢", "我想取消昨天的订单并要求退款多谢", "今天天气很好我们去公园散步吧朋友"]

    found = candidates(signatures(texts), texts)

    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])


def test_only_texts_of_one_block_are_paired() -> None:
    texts = [SENTENCE] * 3

    found = candidates(signatures(texts), texts, np.array([1, 2, 1], dtype=np.uint64))

    assert (found.first.tolist(), found.second.tolist()) == ([0], [2])


def test_pairs_below_the_least_similarity_are_left_out() -> None:
    texts = [SENTENCE, SENTENCE + " please", SENTENCE[:60] + " and how do i close my account for good"]

    assert len(candidates(signatures(texts), texts)) == 3
    assert len(candidates(signatures(texts), texts, least=0.8)) == 1


def test_where_hundreds_look_alike_the_nearest_in_spelling_are_paired_and_the_rest_is_counted() -> None:
    count = 5 * LARGEST_BUCKET
    texts = [f"{SENTENCE}, said {chr(97 + n % 26)}{chr(97 + n // 26)}{'xyz'[n % 3]}" for n in range(count)]
    texts += [texts[7].replace("charged", "chraged"), texts[9] + "."]

    found = candidates(signatures(texts), texts)

    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert found.crowded > count / 2
    assert {(7, count), (9, count + 1)} <= pairs
    assert len(pairs) < count * count / 4


def test_nothing_and_one_text_have_no_pairs() -> None:
    assert len(candidates(signatures([]), [])) == 0
    assert len(candidates(signatures([""]), [""])) == 0
