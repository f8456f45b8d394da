"""Local tasks of the lm-evaluation-harness, put to a candidate and its baseline.

A task is a YAML file in a folder of one's own, with its data beside it. Nothing is fetched and nothing in it is run: a file that
names a Python function, another dataset than a local one, or a setting whose meaning is not known here is refused before the
harness sees it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuum.errors import ConfigurationError, MissingExtra
from continuum.guard.pairs import Gate, Pairs
from continuum.models.answering import Answerer, LocalAnswerer
from continuum.policy import GuardPolicy
from continuum.progress import Progress, silent
from continuum.records import Checkpoint

PREFIX = "lm_eval/"
METRICS = ("acc", "acc_norm", "acc_bytes", "exact_match")
"""Metrics with a score from 0 to 1 for each document, which the harness computes itself; for others it would load a script."""
DEFAULT_METRIC = {"multiple_choice": "acc", "loglikelihood": "acc", "generate_until": "exact_match"}
LOADERS = ("json", "csv", "parquet")
FILTERS = ("regex", "remove_whitespace", "take_first", "lowercase")
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
WORDS = ("description", "doc_to_text", "doc_to_target", "target_delimiter", "fewshot_delimiter", "gen_prefix")
FIELDS = {
    *("task", "task_alias", "tag", "dataset_path", "dataset_kwargs", "output_type", "doc_to_choice", "num_fewshot"),
    *("metric_list", "filter_list", "generation_kwargs", "metadata", *SPLITS, *WORDS),
}
LARGEST_FILE = 1_000_000
"""Bytes of a task's YAML; its data have a file of their own."""


@dataclass(frozen=True)
class LocalTask:
    """One task, checked."""

    name: str
    metric: str
    """What its documents are scored by."""
    config: dict[str, Any]
    """As the harness takes it, the data's files by their absolute paths."""


async def task_pairs(
    policy: GuardPolicy,
    candidate: Checkpoint,
    champion: Checkpoint | None,
    answerer: Answerer,
    *,
    on_progress: Progress = silent,
) -> tuple[list[Pairs], list[str]]:
    """The scores of every document of the policy's tasks, as pairs called `capability:lm_eval/TASK`.

    Args:
        policy: names the folder and the tasks.
        candidate: the checkpoint to measure.
        champion: the baseline; None for the base without an adapter.
        answerer: must run models in this process; for any other there is a note and no pairs.
        on_progress: called before each model.

    Raises:
        ConfigurationError: a task cannot be read, or is one that would run code or fetch data.
        MissingExtra: the lmeval extra is not installed.
    """
    try:
        from continuum.guard.lm_eval_engine import run_tasks  # torch, datasets and the harness start here
    except ImportError as error:
        raise MissingExtra.of(error, "Running lm-eval tasks") from error
    tasks = read_tasks(policy.lm_eval_folder, policy.lm_eval_tasks)
    if not isinstance(answerer, LocalAnswerer):
        return [], [f"{type(answerer).__name__} does not run models in this process, so lm-eval tasks were not run"]
    on_progress(0, 2, f"{candidate.name}: lm-eval tasks")
    after = await answerer.run(candidate, lambda local, adapter: run_tasks(local, adapter, tasks))
    on_progress(1, 2, f"{champion.name if champion else 'the base'}: lm-eval tasks")
    before = await answerer.run(champion, lambda local, adapter: run_tasks(local, adapter, tasks))
    pairs = []
    for task in tasks:
        old, new = before[task.name], after[task.name]
        part = PREFIX + task.name
        pairs.append(
            Pairs(
                metric=f"capability:{part}",
                groups=tuple(f"{task.name}-{n}" for n in range(len(old))),
                baseline=tuple(old),
                candidate=tuple(new),
                eligible=len(old),
                gate=Gate.CAPABILITY,
                part=part,
                binary=set(old) | set(new) <= {0.0, 1.0},
            )
        )
    return pairs, []


def read_tasks(folder: str | Path | None, names: Sequence[str]) -> list[LocalTask]:
    """Find tasks by name in the YAML files of a folder and the folders in it.

    Raises:
        ConfigurationError: there is no folder, a task is not in it or there twice, or one would run code or fetch data.
    """
    if folder is None or not Path(folder).is_dir():
        raise ConfigurationError(f"lm_eval_tasks names {list(names)}; set lm_eval_folder to the folder of their YAML files")
    found: dict[str, LocalTask] = {}
    for path in sorted(Path(folder).rglob("*.yaml")):
        fields = _fields(path)
        name = fields.get("task")
        if not isinstance(name, str) or name not in names:
            continue
        if name in found:
            raise ConfigurationError(f"{path} is the second task called {name!r} in {folder}; rename one of them")
        found[name] = _checked(fields, path, Path(folder))
    if missing := [name for name in names if name not in found]:
        raise ConfigurationError(f"{folder} holds no task {missing[0]!r}: write a YAML file there that says task: {missing[0]}")
    return [found[name] for name in dict.fromkeys(names)]


def _fields(path: Path) -> Mapping[str, Any]:
    import yaml

    if path.stat().st_size > LARGEST_FILE:
        raise ConfigurationError(f"{path} has {path.stat().st_size} bytes; a task has at most {LARGEST_FILE}")
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.constructor.ConstructorError as error:
        # Only plain values are built: the harness would import what stands behind !function.
        raise ConfigurationError(
            f"{path} asks for code to be run ({error.problem}); say it in a template, or leave it out"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML: {type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{path} is no task; write fields such as task: NAME")
    return fields


def _checked(fields: Mapping[str, Any], path: Path, folder: Path) -> LocalTask:
    """A task that only reads its own data and is scored by the harness itself."""

    def refuse(what: str) -> ConfigurationError:
        return ConfigurationError(f"the task {fields['task']!r} in {path} {what}")

    if unknown := sorted(str(name) for name in fields if name not in FIELDS):
        raise refuse(f"has the field {unknown[0]!r}, which is not taken here; the fields are {', '.join(sorted(FIELDS))}")
    if fields.get("dataset_path") not in LOADERS:
        raise refuse(f"reads the dataset {fields.get('dataset_path')!r}; local files are read by one of {', '.join(LOADERS)}")
    data = fields.get("dataset_kwargs")
    if not isinstance(data, dict) or set(data) != {"data_files"}:
        raise refuse("needs dataset_kwargs with data_files and nothing else, files beside the YAML")
    kind = fields.get("output_type", "generate_until")
    if kind not in DEFAULT_METRIC:
        raise refuse(f"has the output_type {kind!r}; one of {', '.join(DEFAULT_METRIC)} is scored document by document")
    if not any(fields.get(split) for split in ("test_split", "validation_split")):
        raise refuse("names no test_split and no validation_split; say which part of the data is asked")
    metrics = fields.get("metric_list", [{"metric": DEFAULT_METRIC[kind]}])
    for metric in metrics if isinstance(metrics, list) and metrics else [None]:
        if not isinstance(metric, dict) or metric.get("metric") not in METRICS or metric.get("hf_evaluate"):
            raise refuse(f"is scored by {metric!r}; the metrics are {', '.join(METRICS)}")
    for one in fields.get("filter_list") or []:
        steps = one.get("filter", ()) if isinstance(one, dict) else [None]
        if any(not isinstance(step, dict) or step.get("function") not in FILTERS for step in steps):
            raise refuse(f"filters answers by {steps!r}; the functions are {', '.join(FILTERS)}")
    for name in WORDS:
        if name in fields and not isinstance(fields[name], (str, int)):
            raise refuse(f"has no text under {name!r}")
    files = _files(data["data_files"], path, folder.resolve(), refuse)
    scored = [{"aggregation": "mean", "higher_is_better": True, **metric} for metric in metrics]
    config = {**fields, "output_type": kind, "metric_list": scored, "dataset_kwargs": {"data_files": files}}
    return LocalTask(str(fields["task"]), str(metrics[0]["metric"]), config)


def _files(given: Any, path: Path, folder: Path, refuse: Any) -> Any:
    """The data's files by their absolute paths, in the form they were given in."""
    if isinstance(given, dict):
        return {str(split): _files(files, path, folder, refuse) for split, files in given.items()}
    if isinstance(given, list):
        return [_files(file, path, folder, refuse) for file in given]
    file = (path.parent / str(given)).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise refuse(f"reads {given!r}, which is no file in {folder}; put its data there")
    return str(file)
