"""Where trainings run, as a resource."""

from typing import Any

import dagster as dg
from pydantic import Field

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.training.launch import InlineLauncher, Launcher
from continuum_pipelines.launchers import KubernetesLauncher, PipesLauncher, open_pod_client

RUNNERS = ("process", "kubernetes", "inline")


class TrainingResource(dg.ConfigurableResource):
    """Where the worker of a training runs; what it does is the same everywhere."""

    runner: str | None = Field(
        default=None,
        description="`process`: a child of the run, started through Pipes. `kubernetes`: a pod. `inline`: the run itself. "
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
        default={}, description="Kubernetes: the rest of the pod: volumes, GPU limits, secrets; see deploy/kubernetes/README.md."
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
            accelerate_config=accelerate_config,
        )
