"""Finds the near-duplicates of the texts in a file by our MinHash and says what that took; run as a program of its own."""

import json
import sys
import time
from pathlib import Path

JACCARD = 0.7


def main(source: Path, target: Path) -> None:
    """Read a list of canonical texts, write the pairs and the figures."""
    from continuum.similarity.minhash import candidates, signatures

    texts = json.loads(source.read_text("utf-8"))
    before = peak_kb()
    begun = time.process_time()
    sketches = signatures(texts)
    sketched = time.process_time()
    pairs = candidates(sketches, texts, least=JACCARD)
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    ended = time.process_time()
    figures = {
        "cpu_s": ended - begun,
        "signatures_s": sketched - begun,
        "crowded": pairs.crowded,
        "corpus_mb": before / 1000,
        "peak_mb": peak_kb() / 1000,
        "pairs": found,
    }
    target.write_text(json.dumps(figures), "utf-8")


def peak_kb() -> int:
    """The most memory this program has held; `getrusage` would count what its parent held when it was started."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
