"""`DataCurator`: from the interactions of a task to the training set its model should learn from next."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Self

from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.policy import CurationPolicy, SplitPolicy, TaskPolicy
from continuum.progress import Progress, silent
from continuum.store import default_store
from continuum.timespan import parse_span, utc_now

if TYPE_CHECKING:
    from continuum.embedding.embedder import Embedder
    from continuum.partitions.workers import Workers
    from continuum.store.database import Store

Strategy = Literal["active_learning", "diversity", "uncertainty", "core_set"]


class DataCurator:
    """Chooses a training set: good answers, each once, as different from one another as asked, none of them golden.

    Args:
        strategy: `active_learning` weighs quality and uncertainty and spreads over the traffic; `diversity` spreads alone;
            `uncertainty` takes the scores that are likeliest to be wrong, and trains on those that a second judge or people
            confirm; `core_set` takes extremes.
        target_size: the most examples to choose.
        min_quality_score: 1 to 5; people's verdicts come first, the judge's where there are none.
        diversity_coefficient: 0 to 1; 0 prefers quality most, 1 looks at spread alone.
        deduplication_threshold: character similarity, above 0 up to 1, of both question and answer from which two are one.
        semantic_deduplication_threshold: cosine of both from which two are one too; None leaves meaning to the strategy.
        max_generated_share: the most of the examples that models of this task's own line may have written, 0 to 1.
        diversity_floor: to how many different answers the chosen ones must amount, as a share of those of others; 0 to 1.
        control: also draw a random control of the same size, `Dataset.control`.
        min_examples: with fewer to choose from, `build` raises `NotEnoughData`.
        only_new: leave out what the model that is continued could have learned from already.
        store: None for the default store.
        embedder: None for the one that CONTINUUM_EMBEDDER names, its vectors kept.
        workers: who embeds and sketches texts; None for those that CONTINUUM_WORKERS names.
        seed: of everything random.
        splits: which groups are held out; None for what the task's policy says.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    def __init__(
        self,
        strategy: Strategy = "active_learning",
        target_size: int = 1000,
        min_quality_score: float = 3.5,
        diversity_coefficient: float = 0.3,
        deduplication_threshold: float = 0.92,
        *,
        semantic_deduplication_threshold: float | None = None,
        max_generated_share: float = 0.5,
        diversity_floor: float = 0.5,
        control: bool = True,
        min_examples: int = 20,
        only_new: bool = False,
        store: "Store | None" = None,
        embedder: "Embedder | None" = None,
        workers: "Workers | None" = None,
        seed: int = 0,
        splits: SplitPolicy | None = None,
    ) -> None:
        try:
            self.config = CurationPolicy(
                strategy=strategy,
                target_size=target_size,
                min_quality_score=min_quality_score,
                diversity_coefficient=diversity_coefficient,
                deduplication_threshold=deduplication_threshold,
                semantic_deduplication_threshold=semantic_deduplication_threshold,
                max_generated_share=max_generated_share,
                diversity_floor=diversity_floor,
                control=control,
                min_examples=min_examples,
                only_new=only_new,
            )
        except ValueError as error:
            raise ConfigurationError(f"DataCurator cannot work like this: {error}") from error
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigurationError(f"seed is {seed!r}; a whole number from 0 up is needed")
        self.seed = seed
        self._store = store
        self._embedder = embedder
        self._workers = workers
        self._splits = splits
        self._policy: TaskPolicy | None = None

    @classmethod
    def for_task(
        cls,
        policy: TaskPolicy,
        *,
        store: "Store | None" = None,
        embedder: "Embedder | None" = None,
        workers: "Workers | None" = None,
        seed: int = 0,
    ) -> Self:
        """A curator that works as a task's policy says; `build` then also takes its window from there."""
        curator = cls(store=store, embedder=embedder, workers=workers, seed=seed)
        curator.config = policy.curation
        curator._policy = policy
        return curator

    async def build(
        self,
        task: str,
        time_window: str | timedelta | None = "policy",
        on_progress: Progress = silent,
        now: Callable[[], datetime] = utc_now,
    ) -> Dataset:
        """Build, store and return the next version of a task's training set, after its golden dataset.

        Args:
            task: whose interactions.
            time_window: how far back to look, like "30d"; None for everything; "policy" for the window of `for_task`'s policy,
                everything without one.
            on_progress: told at each stage.
            now: the clock; the window ends here.

        Returns:
            The dataset; the version that is already stored when the same data and configuration were built before.

        Raises:
            ConfigurationError: there is no such task, or the window cannot be read.
            NotEnoughData: too few examples are left; the message says how many, and why.
        """
        from continuum.curation.assembly import Tools, assemble  # numpy, faiss and rensa start here
        from continuum.curation.manifest import Recipe
        from continuum.embedding.cache import cached_embedder
        from continuum.partitions.workers import open_workers

        store, settings = self._store or default_store(), load_settings()
        policy = self._policy if self._policy is not None and self._policy.task == task else store.tasks.get(task).policy
        if self._splits is not None:
            policy = policy.model_copy(update={"splits": self._splits})
        fields = self.config.model_dump()
        fields["time_window"] = _window(self.config.time_window if time_window == "policy" else time_window)
        recipe = Recipe(**fields, seed=self.seed)

        def work() -> Dataset:
            workers = self._workers or open_workers(settings.workers)
            embedder = self._embedder or cached_embedder(settings, on_progress=on_progress, workers=workers)
            return assemble(store, policy, recipe, Tools(embedder, workers, now, on_progress))

        return await asyncio.to_thread(work)


def _window(window: str | timedelta | None) -> str | None:
    """A window as text, so that equal windows are equal in a fingerprint."""
    if window is None:
        return None
    seconds = parse_span(window).total_seconds()
    return f"{seconds / 86400:g}d" if seconds % 86400 == 0 else f"{seconds:g}s"
