"""A dataset version: the examples, what they were made from, and the Parquet files they travel in.

Written by curation, read by training, guard and analytics.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.errors import StoreError
from continuum.records import Example, Message

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars

MANIFEST = "manifest.json"
ROWS = "examples.parquet"


class Dataset:
    """Examples of one task, with a fingerprint over their content and the configuration that chose them.

    `len()` and iteration cover the training and validation rows in a fixed order.
    """

    def __init__(self, examples: Sequence[Example], manifest: dict[str, Any]) -> None:
        self.examples = tuple(examples)
        self.manifest = manifest

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} examples, fingerprint={self.fingerprint[:12]!r})"

    @property
    def fingerprint(self) -> str:
        """A sha256 over the canonical rows and the configuration: same inputs, same fingerprint on any machine."""
        return self.manifest["fingerprint"]

    @property
    def task(self) -> str:
        """The task it belongs to."""
        return self.manifest["task"]

    @property
    def name(self) -> str:
        """`<task>_<kind>_v<version>`."""
        return self.manifest["name"]

    @property
    def source_interactions(self) -> int:
        """How many interactions it was chosen from."""
        return self.manifest["source_interactions"]

    @property
    def avg_score(self) -> float:
        """Mean score of the examples, 1 to 5; 0 when there are none."""
        return sum(example.score for example in self) / len(self) if self.examples else 0.0

    @property
    def min_score(self) -> float:
        """Lowest score of the examples, 1 to 5; 0 when there are none."""
        return min((example.score for example in self), default=0.0)

    @property
    def intent_coverage(self) -> float:
        """Share of the intents seen in the eligible traffic that have an example, 0 to 1."""
        return self.manifest.get("intent_coverage", 0.0)

    def split(self, name: str) -> list[Example]:
        """The examples of one side: train, validation or golden."""
        return [example for example in self if example.split == name]

    def write(self, folder: Path) -> Path:
        """Write the rows and then the manifest into `folder`; returns it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.to_polars().write_parquet(folder / ROWS)
        # The manifest is written last: its presence means the dataset is complete.
        unfinished = folder / (MANIFEST + ".part")
        unfinished.write_text(json.dumps(self.manifest, indent=2, sort_keys=True), encoding="utf-8")
        unfinished.replace(folder / MANIFEST)
        return folder

    @classmethod
    def read(cls, folder: str | Path) -> "Dataset":
        """Read a version that `write` left.

        Raises:
            StoreError: the folder holds no complete dataset.
        """
        import polars

        path = Path(folder)
        missing = [name for name in (MANIFEST, ROWS) if not (path / name).is_file()]
        if missing:
            raise StoreError(f"{path} holds no complete dataset: {' and '.join(missing)} missing; build the dataset again")
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return cls([_example(row) for row in polars.read_parquet(path / ROWS).iter_rows(named=True)], manifest)

    def to_polars(self) -> "polars.DataFrame":
        """The rows as a polars frame; `messages` is in the chat form that trainers take, the answer last."""
        import polars  # the one door to frames

        return polars.DataFrame([_row(example) for example in self], schema=_schema(), orient="row")

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a pandas frame."""
        return self.to_polars().to_pandas()

    def to_hf(self) -> "datasets.Dataset":
        """The rows as a Hugging Face dataset.

        Raises:
            MissingExtra: the training extra is not installed.
        """
        from continuum.errors import MissingExtra

        try:
            import datasets
        except ImportError as error:
            raise MissingExtra.of(error, "Dataset.to_hf") from error
        return datasets.Dataset(self.to_polars().to_arrow())


def _schema() -> dict[str, Any]:
    import polars

    message = polars.Struct({"role": polars.String, "content": polars.String})
    return {
        "interaction_id": polars.String,
        "messages": polars.List(message),
        "conversation": polars.String,
        "score": polars.Float64,
        "score_source": polars.String,
        "split": polars.String,
        "group": polars.String,
        "cluster": polars.Int64,
        "duplicates": polars.List(polars.String),
        "reason": polars.String,
    }


def _row(example: Example) -> dict[str, Any]:
    conversation = [*example.messages, example.response]
    return {
        **example.model_dump(exclude={"messages", "response"}),
        "duplicates": list(example.duplicates),
        "messages": [{"role": message.role, "content": _storable(message.action)} for message in conversation],
        # Tool calls and unknown fields do not fit two columns; the conversation itself is kept as JSON beside them,
        # in ASCII, which carries whatever was captured.
        "conversation": json.dumps([message.to_openai() for message in conversation], sort_keys=True),
    }


def _storable(text: str) -> str:
    """The text with half surrogate pairs, which no file of UTF-8 holds, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _example(row: dict[str, Any]) -> Example:
    *messages, response = [Message.model_validate(message) for message in json.loads(row["conversation"])]
    fields = {name: row[name] for name in row if name not in {"messages", "conversation"}}
    return Example(**fields, messages=tuple(messages), response=response)
