"""Everything Continuum raises on purpose.

    ContinuumError
    ├── ConfigurationError(ValueError)    the caller can fix it: unknown task, bad rubric, unpriced judge with a budget
    ├── MissingExtra(ImportError)         a package of an extra is not installed; the message holds the pip line
    ├── StoreError(RuntimeError)          the store cannot be read or written
    │   └── ProofBroken                   something that a proof vouches for was altered; the message names it
    ├── JudgeError(RuntimeError)          a judge failed beyond one judgement
    ├── NotEnoughData(ValueError)         the message says how much there is and how much is needed
    ├── TrainingDiverged(RuntimeError)    the loss stopped being a number
    ├── TrainingInterrupted(RuntimeError) the training worker ended before it was done; the same call goes on from its last state
    └── DeploymentError(RuntimeError)     a model may not, or cannot, be served

Each class is also the built-in it specialises. A message says what was found, what was needed and what to do. `passing` says
whether the same call may succeed a little later though nobody changes anything.
"""

from typing import Self

EXTRAS = {
    "torch": "training",
    "transformers": "training",
    "peft": "training",
    "trl": "training",
    "datasets": "training",
    "accelerate": "training",
    "cryptography": "training",
    "safetensors": "training",
    "sentence_transformers": "training",
    "mlflow": "training",
    "dagster": "pipelines",
    "lm_eval": "lmeval",
    "langchain_core": "langchain",
    "ray": "ray",
    "presidio_analyzer": "presidio",
    "spacy": "presidio",
}


class ContinuumError(Exception):
    """Base of every error Continuum raises on purpose."""

    passing: bool = False
    """Whether the cause may pass by itself: a server that is away, a database that restarts, a process that was killed."""

    def may_pass(self, passing: bool = True) -> Self:
        """The same error, which says of its cause whether it may pass by itself."""
        self.passing = passing
        return self


class ConfigurationError(ContinuumError, ValueError):
    """Something the caller can fix: an unknown task, a rubric without weights, a judge without a price."""


class MissingExtra(ContinuumError, ImportError):
    """A feature needs a package that one of the extras installs."""

    @classmethod
    def of(cls, error: ImportError, feature: str) -> "MissingExtra":
        """Translate the ImportError of an optional package into the pip line that cures it."""
        package = (error.name or "").split(".")[0]
        extra = EXTRAS.get(package, "training")
        return cls(f"{feature} needs the package {package!r}; install it with: pip install 'continuum-ai[{extra}]'")


class StoreError(ContinuumError, RuntimeError):
    """The store cannot be read or written."""


class ProofBroken(StoreError):
    """Something that the proof of a verdict vouches for is not as it was, or the proof itself is not.

    Args:
        link: the link of the chain that is broken, such as `dataset support_training_v1`.
        fault: the artifact, what is wrong with it, and what to do.
    """

    def __init__(self, link: str, fault: str) -> None:
        super().__init__(f"{link}: {fault}")
        self.link = link
        self.fault = fault


class JudgeError(ContinuumError, RuntimeError):
    """A judge failed in a way that one repeated call does not mend."""


class NotEnoughData(ContinuumError, ValueError):
    """There is too little data; the message says how much is needed and how much there is.

    Args:
        message: what was found, what was needed, what to do.
        available: how much there is, where it is a count.
        needed: how much there must be.
    """

    def __init__(self, message: str, *, available: int | None = None, needed: int | None = None) -> None:
        super().__init__(message)
        self.available = available
        self.needed = needed


class TrainingDiverged(ContinuumError, RuntimeError):
    """Training was stopped because its loss is no longer a number."""


class TrainingInterrupted(ContinuumError, RuntimeError):
    """The training worker ended before it was done; the same call goes on from the last state that it left."""

    passing = True


class DeploymentError(ContinuumError, RuntimeError):
    """A model may not, or cannot, be served."""
