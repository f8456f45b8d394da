"""Who serves the tuned models: five backends behind one protocol."""

from typing import TYPE_CHECKING, get_args

from continuum import serving_policy
from continuum.config import Settings
from continuum.errors import ConfigurationError

if TYPE_CHECKING:
    from continuum.deployment.backends.protocol import Backend

BACKENDS: tuple[str, ...] = get_args(serving_policy.Backend)


def open_backend(name: str, url: str, settings: Settings) -> "Backend":
    """A backend by its name; nothing is asked of the server yet.

    Args:
        name: one of `BACKENDS`.
        url: where it serves: an OpenAI-compatible base URL, or `sagemaker://REGION/ENDPOINT`.
        settings: the key that servers are asked with, and where files are put on the way.

    Raises:
        ConfigurationError: there is no such backend.
    """
    if name == "local":
        from continuum.deployment.backends.local import LocalBackend

        return LocalBackend(url, settings)
    if name == "vllm":
        from continuum.deployment.backends.vllm import VllmBackend

        return VllmBackend(url, settings)
    if name == "tgi":
        from continuum.deployment.backends.tgi import TgiBackend

        return TgiBackend(url, settings)
    if name == "ollama":
        from continuum.deployment.backends.ollama import OllamaBackend

        return OllamaBackend(url, settings)
    if name == "sagemaker":
        from continuum.deployment.backends.sagemaker import SageMakerBackend

        return SageMakerBackend(url, settings)
    raise ConfigurationError(f"serving backend {name!r} is unknown; use one of {', '.join(BACKENDS)}")
