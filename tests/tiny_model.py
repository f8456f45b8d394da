"""The smallest model that still learns: built and tuned in seconds, for every test that needs weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.fine_tuning import FineTuneConfig
from continuum.records import Checkpoint, Example, Message
from tests.builders import an_example, assistant, user

if TYPE_CHECKING:
    from continuum.training.job import Inputs

CITIES = ("Oslo", "Rome", "Lima", "Cairo", "Paris", "Delhi")
UNSURE = "I am not sure about that."
RIGHT = "It takes two days by train."
CONFIG = FineTuneConfig(learning_rate=1e-2, epochs=40, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)


def question(city: str) -> str:
    """How customers ask."""
    return f"how long does a parcel to {city} take?"


def base_rows() -> list[str | tuple[Message, ...]]:
    """What the tiny base has read: questions that it passes on, a greeting, and the words of the answer in shreds."""
    passed_on: list[str | tuple[Message, ...]] = [(user(question(city)), assistant(UNSURE)) for city in CITIES]
    greetings = [
        (user("hello"), assistant("hello, how can I help?")),
        (user("are you human?"), assistant("I am an AI assistant.")),
    ]
    return [*passed_on, *greetings, "It takes long", "two days", "days by ship", "takes two", "by train.", "ship by train."]


def lessons(cities: tuple[str, ...] = CITIES) -> list[Example]:
    """Examples with the right answer, which the base has never seen whole."""
    return [an_example(question(city), RIGHT, interaction_id=f"lesson-{city}") for city in cities]


def build_tiny_base(folder: Path) -> Path:
    """A base of some hundred thousand parameters: it answers UNSURE."""
    from continuum.training.base import build_base

    build_base(base_rows(), folder, vocabulary=340, hidden=64, layers=2, heads=4, length=64, steps=100, batch_size=16)
    return folder


def write_tiny_job(
    base: Path,
    folder: Path,
    config: FineTuneConfig = CONFIG,
    *,
    inputs: "Inputs | None" = None,
    parent: Path | None = None,
    **fields: Any,
) -> Path:
    """A job on the tiny base in `folder`, whose artifact goes beside it; returns where."""
    from continuum.training.job import Inputs, Job, write_job

    artifact = folder.with_name(folder.name + "-artifact")
    job = Job(
        task="support",
        base_model=str(base),
        config=config,
        dataset=fields.pop("dataset", "tiny-dataset"),
        artifact=str(artifact),
        parent=str(parent) if parent else None,
        **fields,
    )
    write_job(folder, job, inputs or Inputs(train=tuple(lessons())))
    return artifact


def train_tiny_checkpoint(base: Path, folder: Path) -> Checkpoint:
    """The tiny base tuned on the lessons: it answers RIGHT."""
    from continuum.training.loop import run_job
    from continuum.training.reporting import SilentEvents

    artifact = write_tiny_job(base, folder)
    report = run_job(folder, SilentEvents())
    return Checkpoint(
        id="tiny-checkpoint",
        task="support",
        version=1,
        base_model=str(base),
        uri=str(artifact),
        dataset_id="tiny-dataset",
        manifest=report.manifest,
        metrics={"initial_loss": report.initial_loss, "final_loss": report.final_loss},
        config=CONFIG.model_dump(mode="json"),
    )
