import pytest

from continuum.errors import ConfigurationError
from continuum.judging.jury import Jury
from continuum.judging.measures import measures_of
from continuum.judging.scripted import ScriptedJudge
from continuum.policy import TaskPolicy
from continuum.rubric import DEFAULT_CRITERIA, Criterion
from tests.judging.test_jury import Whole

POLICY = TaskPolicy(task="support")
MODEL, PROXY = ScriptedJudge("model", lambda *_: 4), Whole()


@pytest.fixture(autouse=True)
def _no_judge_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTINUUM_JUDGE_MODEL", raising=False)


def test_what_is_measured_by_default_follows_from_who_judges() -> None:
    assert measures_of(POLICY, judge=MODEL).metrics == ("helpfulness", "accuracy")
    assert measures_of(POLICY, judge=PROXY).metrics == ("overall",)
    assert measures_of(POLICY).metrics == ("action_match",)


def test_overall_is_the_mean_of_the_whole_rubric() -> None:
    measures = measures_of(POLICY, ["overall", "tone", "action_match"], judge=MODEL)
    assert measures.criteria == DEFAULT_CRITERIA
    rubric = [Criterion("charm", 1, "Has it")]
    assert measures_of(POLICY, ["overall"], judge=MODEL, criteria=rubric).criteria == tuple(rubric)


def test_a_criterion_outside_the_rubric_is_not_measured_beside_its_mean() -> None:
    with pytest.raises(ConfigurationError, match="'safety' is not in the rubric"):
        measures_of(POLICY, ["overall", "safety"], judge=MODEL)


def test_a_judge_of_the_whole_scores_no_single_criterion() -> None:
    with pytest.raises(ConfigurationError, match="no word on 'tone'; measure 'overall'"):
        measures_of(POLICY, ["overall", "tone"], judge=PROXY)


def test_a_proxy_is_not_asked_about_safety() -> None:
    with pytest.raises(ConfigurationError, match="cannot be asked about safety"):
        measures_of(POLICY, ["safety"], judge=PROXY)
    assert measures_of(POLICY, ["safety"], judge=MODEL).metrics == ("safety",)


def test_a_proxy_measures_alone_and_approves_only_in_company() -> None:
    assert measures_of(POLICY, judge=PROXY).judge_name == "proxy"
    with pytest.raises(ConfigurationError, match="may not decide over a deployment alone"):
        measures_of(POLICY, judge=PROXY, approving=True)
    assert measures_of(POLICY, judge=Jury([PROXY, MODEL]), approving=True).metrics == ("overall",)
    assert measures_of(POLICY, ["action_match"], judge=PROXY, approving=True).judge is None


def test_a_metric_without_anyone_to_judge_it_is_refused() -> None:
    for metric in ("tone", "overall"):
        with pytest.raises(ConfigurationError, match=f"metric '{metric}' needs a judge"):
            measures_of(POLICY, [metric])
    with pytest.raises(ConfigurationError, match="metric 'charm' is unknown"):
        measures_of(POLICY, ["charm"], judge=MODEL)
