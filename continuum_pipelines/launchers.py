"""How a Dagster run starts a training: through Pipes, in a process beside the run or in a pod of a Kubernetes cluster.

The worker writes into the run's log itself, and an error that ends it stands there with the worker's own traceback. An error of
the same class and words then ends the asset.
"""

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter

from continuum.errors import MissingExtra, TrainingInterrupted
from continuum.fine_tuning import FineTuneConfig
from continuum.progress import Progress
from continuum.training.job import ERROR, read_job, read_report
from continuum.training.launch import ProcessLauncher, recorded_error, worker_command
from continuum_pipelines.progress import tell_listeners

if TYPE_CHECKING:
    from dagster._core.pipes.context import PipesMessageHandler

READ_EVERY_S = 0.05
JOB_LABEL = "continuum/job"
"""Label of a training's pod: the name of its job's folder, at most 63 letters of it."""


class OneWorker:
    """Says that one worker speaks; Dagster's own readers warn that counting them is a preview."""

    @property
    def expected_writer_count(self) -> int:
        """One."""
        return 1


class OneWorkerReader(OneWorker, dg.PipesMessageReader):
    """Reads what one worker writes into a file, whole lines only: Dagster's own reader stops at one that is half written."""

    @contextmanager
    def read_messages(self, handler: "PipesMessageHandler") -> Iterator[dict[str, Any]]:
        """Read in a thread until the session ends; yields where the worker is to write."""
        with TemporaryDirectory() as folder:
            path, ended = Path(folder) / "messages", threading.Event()
            path.touch()
            reading = threading.Thread(target=self._read, args=(path, handler, ended), name="continuum-messages", daemon=True)
            reading.start()
            try:
                yield {PipesDefaultMessageWriter.FILE_PATH_KEY: str(path)}
            finally:
                ended.set()
                reading.join()

    def no_messages_debug_text(self) -> str:
        """What Dagster says where nothing came."""
        return "Attempted to read messages from a local temporary file."

    def _read(self, path: Path, handler: "PipesMessageHandler", ended: threading.Event) -> None:
        with path.open("rb") as file:
            for line in whole_lines(file, ended):
                try:
                    handler.handle_message(json.loads(line))
                except Exception:  # noqa: BLE001 - one message that cannot be read keeps no other from the run
                    handler.report_pipes_framework_exception(f"{type(self).__name__} reader thread", sys.exc_info())


def whole_lines(file: BinaryIO, ended: threading.Event, *, every_s: float = READ_EVERY_S) -> Iterator[bytes]:
    """The lines of a file that somebody writes, each once it has its end.

    Args:
        file: open for reading; another process may append to it, in pieces of any size.
        ended: set once nothing is written any more; what is there by then is read, but for a line that its writer never ended.
        every_s: seconds between two looks where there is nothing new.
    """
    kept = b""
    while True:
        # Asked before it is read: what was written before the end is then in what is read.
        last = ended.is_set()
        *lines, kept = (kept + file.read()).split(b"\n")
        yield from lines
        if last:
            return
        if not lines:
            ended.wait(every_s)


class PipesLauncher:
    """Trains in a child process of the run, which ends with it, and tells the run how far it is through Pipes.

    Args:
        context: of the asset that trains.
        accelerate_config: see `ProcessLauncher`.
    """

    def __init__(self, context: dg.AssetExecutionContext, *, accelerate_config: str | None = None) -> None:
        self.context, self.accelerate_config = context, accelerate_config

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train; see `continuum.training.launch.Launcher`.

        The progress is not called: what it would log comes through Pipes already. Who listens to this process's runs is told.
        """
        with dg.open_pipes_session(
            # Pipes asks for what an asset's context calls deprecated, and warns of itself.
            self.context.op_execution_context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=OneWorkerReader(),
        ) as session:
            worker = ProcessLauncher(session.get_bootstrap_env_vars(), accelerate_config=self.accelerate_config)
            worker.launch(folder, tell_listeners, stop)


class PodClient(Protocol):
    """What is used of `dagster_k8s.PipesK8sClient`."""

    def run(
        self,
        *,
        context: Any,
        image: str,
        command: Sequence[str],
        namespace: str | None,
        env: Mapping[str, str],
        base_pod_meta: Mapping[str, Any],
        base_pod_spec: Mapping[str, Any],
    ) -> Any:
        """Run a pod, wait until it has ended, and hand on what it says through Pipes."""
        ...


@dataclass(frozen=True)
class KubernetesLauncher:
    """Trains in a pod. The job's folder, the base model and the checkpoints must be on a volume that is mounted at the same path.

    A run that is cancelled leaves its pod: delete it by its label, or bound it by `activeDeadlineSeconds`.
    """

    context: dg.AssetExecutionContext
    client: PodClient
    image: str
    namespace: str | None = None
    pod_spec: Mapping[str, Any] = field(default_factory=dict)
    """Of the pod: volumes, node selector, resources, secrets for the environment."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Shown to whoever may read pods: no secrets."""
    accelerate_config: str | None = None
    """As the pod sees it."""

    def launch(self, folder: Path, on_progress: Progress, stop: threading.Event | None = None) -> None:
        """Train; see `continuum.training.launch.Launcher`. The pod's progress is in the run's log."""
        job, _ = read_job(folder)
        (folder / ERROR).unlink(missing_ok=True)
        on_progress(0, 1, f"waiting for a pod of {self.image}")
        try:
            self.client.run(
                context=self.context.op_execution_context,
                image=self.image,
                command=self.command(folder, job.config),
                namespace=self.namespace,
                env=dict(self.environment),
                base_pod_meta={"labels": {JOB_LABEL: folder.name[:63]}},
                base_pod_spec=dict(self.pod_spec),
            )
        except Exception as error:
            raise recorded_error(folder) or TrainingInterrupted(
                f"the training's pod failed: {error}; the same call goes on from the last state that it left"
            ) from error
        if read_report(folder) is None:
            raise recorded_error(folder) or TrainingInterrupted(
                f"the training's pod ended without a report in {folder}; is the folder on a volume that the pod mounts?"
            )

    def command(self, folder: Path, config: FineTuneConfig) -> list[str]:
        """What the pod runs."""
        return worker_command(str(folder), processes=config.processes, accelerate_config=self.accelerate_config, python="python")


def open_pod_client() -> PodClient:
    """Dagster's client of the cluster that this process runs in, or of the kubeconfig's current one.

    Raises:
        MissingExtra: dagster-k8s is not installed.
    """
    try:
        from dagster_k8s import PipesK8sClient
        from dagster_k8s.pipes import PipesK8sPodLogsMessageReader
    except ImportError as error:
        raise MissingExtra(
            "a training on Kubernetes needs the package 'dagster-k8s'; install it with: pip install dagster-k8s"
        ) from error

    class PodReader(OneWorker, PipesK8sPodLogsMessageReader):
        """Reads what one worker writes into its pod's log."""

    return PipesK8sClient(message_reader=PodReader())
