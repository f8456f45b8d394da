"""Running tasks of the lm-evaluation-harness on a model that is already in memory."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import lm_eval.utils
from datasets.exceptions import DatasetsError
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from continuum.errors import ConfigurationError
from continuum.guard.lm_eval import LocalTask
from continuum.models.local import LocalModel

BATCH = 8
SEED = 0
"""Of the examples that stand before a question: the same for every model."""
FAULTS = (KeyError, IndexError, ValueError, TypeError, AttributeError, AssertionError, TemplateError, DatasetsError)
"""What the harness raises for what a task's author wrote."""


def run_tasks(local: LocalModel, adapter: str | None, tasks: Sequence[LocalTask]) -> dict[str, list[float]]:
    """The score of each document by task, 0 to 1, in the order of the data.

    Args:
        local: a base model with its adapters.
        adapter: which of them answers; None for none.
        tasks: what is asked.

    Raises:
        ConfigurationError: the harness cannot run a task, such as for a template that names a field its data lack.
    """
    with local.switched_to(adapter) as model, TemporaryDirectory() as cache, _at_rest():
        # The harness marks a tokenizer as its own.
        options: dict[str, Any] = {"pretrained": model, "tokenizer": deepcopy(local.tokenizer), "backend": "causal"}
        harness = HFLM(**options | {"batch_size": BATCH})
        return {task.name: _scores(harness, task, cache) for task in tasks}


def _scores(harness: HFLM, task: LocalTask, cache: str) -> list[float]:
    config: dict[str, Any] = deepcopy(task.config)
    config["dataset_kwargs"]["cache_dir"] = cache
    try:
        built = ConfigurableTask(config=config)
        built.set_config(key="num_fewshot", value=built.get_config("num_fewshot") or 0)
        built.set_fewshot_seed(seed=SEED)
        found: Any = evaluate(lm=harness, task_dict={"tasks": {task.name: built}}, bootstrap_iters=0, log_samples=True)
    except FAULTS as error:
        raise ConfigurationError(f"the lm-eval task {task.name!r} cannot be run ({type(error).__name__}): {error}") from error
    samples = found["samples"][task.name]
    first = samples[0]["filter"]
    chosen = sorted((sample for sample in samples if sample["filter"] == first), key=lambda sample: sample["doc_id"])
    scores = [float(sample[task.metric]) for sample in chosen]
    if any(not 0 <= score <= 1 for score in scores):
        raise ConfigurationError(f"the lm-eval task {task.name!r} gave scores outside 0 to 1 for {task.metric}")
    return scores


@contextmanager
def _at_rest() -> Iterator[None]:
    """Templates that can reach no Python beyond their document, and a harness that keeps to itself what it is doing."""
    log, bars = logging.getLogger("lm_eval"), datasets.are_progress_bars_disabled()
    level, environment = log.level, lm_eval.utils.env
    sandbox = ImmutableSandboxedEnvironment(undefined=environment.undefined, keep_trailing_newline=True)
    sandbox.filters["regex_replace"] = environment.filters["regex_replace"]
    lm_eval.utils.env = sandbox
    log.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        lm_eval.utils.env = environment
        log.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
