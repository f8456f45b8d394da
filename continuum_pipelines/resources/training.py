"""Where trainings run, as a resource: beside the run, in the run, or in a pod of a Kubernetes cluster."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import Field, ValidationError

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.training.launch import InlineLauncher, Launcher
from continuum_pipelines.launchers import KubernetesLauncher, PipesLauncher, open_pod_client

RUNNERS = ("process", "inline", "kubernetes")
TRAINING_CONFIG = "CONTINUUM_TRAINING_CONFIG"
"""The environment variable that names a YAML file with the fields of the resource; deploy/kubernetes/training.yaml is one."""


class TrainingResource(dg.ConfigurableResource):
    """Where the worker of a training runs; what it does is the same everywhere."""

    runner: str | None = Field(
        default=None,
        description="`process`: a child of the run, started through Pipes. `inline`: the run itself. `kubernetes`: a pod. "
        "That of the environment (CONTINUUM_TRAINER) when left out.",
    )
    accelerate_config: str | None = Field(
        default=None,
        description="File for `accelerate launch`, where a policy asks for several processes, as the worker sees it; that of the "
        "environment (CONTINUUM_ACCELERATE_CONFIG) when left out.",
    )
    image: str | None = Field(default=None, description="Kubernetes: the image of the pod, built by deploy/Dockerfile.")
    namespace: str | None = Field(default=None, description="Kubernetes: where the pod runs; the current one when left out.")
    pod_spec: dict[str, Any] = Field(
        default={}, description="Kubernetes: the rest of the pod's spec: volumes, GPU limits, secrets for its environment."
    )
    environment: dict[str, str] = Field(default={}, description="Kubernetes: variables of the pod; no secrets.")

    def build(self, context: dg.AssetExecutionContext) -> Launcher:
        """How this asset's training is started.

        Raises:
            ConfigurationError: there is no such runner, or it lacks an image.
            MissingExtra: `kubernetes` without dagster-k8s.
        """
        settings = load_settings()
        runner, accelerate_config = self.runner or settings.trainer, self.accelerate_config or settings.accelerate_config
        if runner == "inline":
            return InlineLauncher()
        if runner == "process":
            return PipesLauncher(context, accelerate_config=accelerate_config)
        if runner != "kubernetes" or not self.image:
            raise ConfigurationError(
                f"the resource `training` has the runner {runner!r} and the image {self.image!r}; use one of "
                f"{', '.join(RUNNERS)}, and give `kubernetes` the image of its pod"
            )
        return KubernetesLauncher(
            context,
            open_pod_client(),
            self.image,
            namespace=self.namespace,
            pod_spec=self.pod_spec,
            environment=self.environment,
            # A file of this machine means nothing in a pod.
            accelerate_config=self.accelerate_config,
        )


def training_resource() -> TrainingResource:
    """The resource as CONTINUUM_TRAINING_CONFIG says; by default, what the rest of the environment says.

    Raises:
        ConfigurationError: the file cannot be read, or holds what the resource has no field for.
    """
    path = os.environ.get(TRAINING_CONFIG)
    if not path:
        return TrainingResource()
    try:
        written = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if not isinstance(written, dict) or not written.keys() <= TrainingResource.model_fields.keys():
            raise ValueError(f"it holds {written!r:.80}")
        return TrainingResource(**written)
    except (OSError, ValueError, yaml.YAMLError, dg.DagsterInvalidInvocationError, ValidationError) as error:
        raise ConfigurationError(
            f"{TRAINING_CONFIG} names {path!r}, which is no configuration of the resource `training`: "
            f"{' '.join(str(error).split())}; its fields are "
            f"{', '.join(TrainingResource.model_fields)}"
        ) from error
