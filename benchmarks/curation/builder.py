"""One build of a training set in a process of its own: `python -m benchmarks.curation.builder URL EMBEDDER TARGET`.

It prints one line of JSON: the fingerprint, how long it took and how much memory, with the embedder's work apart.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from benchmarks.curation.crowd import FIRST, TASK
from continuum.config import load_settings
from continuum.curation.curator import DataCurator
from continuum.embedding.cache import CachedEmbedder
from continuum.embedding.embedder import Embedder, open_embedder
from continuum.store.database import open_store


class Timed:
    """An embedder that counts what it spends."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.id = embedder.id
        self.cpu_s = 0.0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text."""
        begun = time.process_time()
        try:
            return self._embedder.embed(texts)
        finally:
            self.cpu_s += time.process_time() - begun


def main() -> None:
    """Build once and say what it took; opening the model counts, for a process has to."""
    url, name, target = sys.argv[1:]
    begun, cpu = time.monotonic(), time.process_time()
    stages: dict[str, float] = {}
    last = ["starting", cpu]

    def told(done: int, total: int, note: str) -> None:
        now = time.process_time()
        stages[str(last[0])] = round(now - float(last[1]), 2)
        last[:] = [note.split(" ")[0] + f" {done}", now]

    timed = Timed(open_embedder(name))
    embedder = CachedEmbedder(timed, load_settings().embeddings_dir)
    store = open_store(url)
    curator = DataCurator(target_size=int(target), store=store, embedder=embedder)
    dataset = asyncio.run(curator.build(TASK, time_window=None, on_progress=told, now=lambda: FIRST + timedelta(days=900)))
    store.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "fingerprint": dataset.fingerprint,
        "examples": len(dataset),
        "eligible": dataset.manifest["counts"]["eligible"],
        "wall_s": time.monotonic() - begun,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "embedding_cpu_s": timed.cpu_s,
        "embedded": embedder.misses,
        "memory_mb": usage.ru_maxrss / 1024,
        "stages_cpu_s": stages,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
