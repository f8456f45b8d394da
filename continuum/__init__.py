"""Continuum: the open flywheel for LLM applications.

Production interactions are captured, judged, curated, trained on without forgetting, guarded by statistics, deployed by
canary and measured. The public names are all here, and all light: what computes is imported when there is work.
"""

from continuum import feedback
from continuum.analytics.curve import LearningCurve
from continuum.annotation.annotator import AnnotationStats, Annotator
from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
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
from continuum.flywheel import Continuum, ContinuumConfig
from continuum.guard.guard import RegressionGuard
from continuum.policy import TaskPolicy
from continuum.records import Verdict
from continuum.rubric import Criterion
from continuum.signals.client import client
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.instrument import instrument_openai, uninstrument_openai
from continuum.signals.stats import capture_stats
from continuum.splits.golden import GoldenDataset
from continuum.training.trainer import Trainer, TrainingResult

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
    "instrument_openai",
    "interaction",
    "uninstrument_openai",
]
