"""Continuum: the open flywheel for LLM applications.

Production interactions are captured, judged, curated, trained on without forgetting, guarded by statistics, deployed by
canary and measured. The public names are all here, and all light: what computes is imported when there is work. An application
that captures pays for what captures alone: the stages are imported when their names are first asked for.
"""

import importlib
import typing

from continuum import feedback
from continuum.errors import (
    ConfigurationError,
    ContinuumError,
    DeploymentError,
    JudgeError,
    MissingExtra,
    NotEnoughData,
    StoreError,
    TrainingDiverged,
)
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.records import Verdict
from continuum.rubric import Criterion
from continuum.signals.client import client
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.instrument import instrument_openai, uninstrument_openai
from continuum.signals.langchain import langchain_callback
from continuum.signals.stats import capture_stats

if typing.TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve
    from continuum.annotation.annotator import AnnotationStats, Annotator
    from continuum.curation.curator import DataCurator
    from continuum.dataset import Dataset
    from continuum.deployment.deployer import ModelDeployer
    from continuum.deployment.handle import Deployment
    from continuum.flywheel import Continuum, ContinuumConfig
    from continuum.guard.guard import RegressionGuard
    from continuum.signals.importer import import_file
    from continuum.splits.golden import GoldenDataset
    from continuum.training.trainer import Trainer, TrainingResult
else:
    _STAGES = {
        "AnnotationStats": "continuum.annotation.annotator",
        "Annotator": "continuum.annotation.annotator",
        "Continuum": "continuum.flywheel",
        "ContinuumConfig": "continuum.flywheel",
        "DataCurator": "continuum.curation.curator",
        "Dataset": "continuum.dataset",
        "Deployment": "continuum.deployment.handle",
        "GoldenDataset": "continuum.splits.golden",
        "LearningCurve": "continuum.analytics.curve",
        "ModelDeployer": "continuum.deployment.deployer",
        "RegressionGuard": "continuum.guard.guard",
        "Trainer": "continuum.training.trainer",
        "TrainingResult": "continuum.training.trainer",
        "import_file": "continuum.signals.importer",
    }

    def __getattr__(name: str) -> typing.Any:
        # Asked once a name: what is found is a name of this module from then on. No module has the name of one of these.
        if name not in _STAGES:
            raise AttributeError(f"module 'continuum' has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_STAGES[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_STAGES})


__all__ = [
    "AnnotationStats",
    "Annotator",
    "ConfigurationError",
    "Continuum",
    "ContinuumConfig",
    "ContinuumError",
    "Criterion",
    "DataCurator",
    "Dataset",
    "Deployment",
    "DeploymentError",
    "EWCConfig",
    "FineTuneConfig",
    "GoldenDataset",
    "JudgeError",
    "LearningCurve",
    "MissingExtra",
    "ModelDeployer",
    "NotEnoughData",
    "RegressionGuard",
    "StoreError",
    "TaskPolicy",
    "Trainer",
    "TrainingDiverged",
    "TrainingResult",
    "Verdict",
    "capture",
    "capture_stats",
    "client",
    "context",
    "feedback",
    "import_file",
    "instrument_openai",
    "interaction",
    "langchain_callback",
    "uninstrument_openai",
]
