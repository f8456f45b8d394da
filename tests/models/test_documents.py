from hypothesis import given
from hypothesis import strategies as st

from continuum.models.documents import by_tokens


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_batches_hold_every_document_once_and_never_more_tokens_than_asked(lengths: list[int], most: int):
    batches = list(by_tokens(lengths, most))

    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[n] for n in batch)
        assert len(batch) == 1 or len(batch) * longest <= most
