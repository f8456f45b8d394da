"""The pytest plugin's hooks: pytest loads this module at each start, so it imports nothing until the fixture is asked for.

It stands beside the package because importing anything of `continuum` imports all its public names, which takes about as long as
starting pytest itself. What the hooks do is in `continuum/pytest_plugin.py`.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from continuum.records import Verdict

CANDIDATE, GOLDEN, REPORT = "--continuum-candidate", "--continuum-golden", "--continuum-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a model and a golden set be named on the command line."""
    group = parser.getgroup("continuum", "a guard for language models")
    group.addoption(CANDIDATE, metavar="MODEL", help="Id or name of the checkpoint that the guard examines, such as support-v2.")
    group.addoption(GOLDEN, metavar="NAME", help="Golden dataset, by name or folder; the task's newest when left out.")
    group.addoption(REPORT, metavar="FILE", help="Write the verdict's report to FILE: .html, .md, .json, or .xml for JUnit.")


@pytest.fixture(scope="session")
def continuum_verdict(pytestconfig: pytest.Config) -> "Verdict":
    """The guard's verdict on the candidate that was named; it is examined once a session.

    Without `--continuum-candidate` the tests that ask for it are skipped.
    """
    candidate = pytestconfig.getoption(CANDIDATE)
    if candidate is None:
        pytest.skip(f"no model to guard: name one with {CANDIDATE}")
    from continuum.errors import ContinuumError
    from continuum.pytest_plugin import verdict_on

    try:
        return verdict_on(candidate, pytestconfig.getoption(GOLDEN), pytestconfig.getoption(REPORT))
    except ContinuumError as error:
        said = f"the guard decided nothing: {error}"
    # What the message says how to mend needs no lines of our source.
    pytest.fail(said, pytrace=False)
