from datetime import timedelta
from typing import Any

from continuum.records import Admission
from continuum.store.database import Store
from tests.builders import NOON


def an_admission(**fields: Any) -> Admission:
    values = {
        "judge": "gpt-4o",
        "version": "v1",
        "rubric": "r1",
        "admitted": True,
        "evidence": {"uplift": 0.1},
        "created_at": NOON,
    }
    return Admission(**(values | fields))


def test_an_outcome_comes_back_as_it_was_stored(store: Store) -> None:
    admission = an_admission(admitted=False, evidence={"uplift": 2.5, "by_family": {"pity": 3.0}, "served_by": ["a", "b"]})
    store.admissions.put(admission)
    assert store.admissions.latest("v1", "r1") == admission


def test_the_newest_outcome_of_a_version_and_a_rubric_counts(store: Store) -> None:
    later = an_admission(admitted=False, created_at=NOON + timedelta(hours=1))
    store.admissions.put(later)
    store.admissions.put(an_admission())
    assert store.admissions.latest("v1", "r1") == later


def test_another_version_or_rubric_was_never_tested(store: Store) -> None:
    store.admissions.put(an_admission())
    assert store.admissions.latest("v2", "r1") is None
    assert store.admissions.latest("v1", "r2") is None


def test_the_same_outcome_is_stored_once(store: Store) -> None:
    admission = an_admission()
    store.admissions.put(admission)
    store.admissions.put(admission)
    assert store.admissions.latest("v1", "r1") == admission
