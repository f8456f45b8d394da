"""The same by datasketch, in the peers' environment: 128 permutations, its own index at 0.7, pairs verified by its estimate.

The texts, and the runs of four characters they are cut into, are those of `sketching.py`.
"""

import json
import sys
import time
from pathlib import Path

JACCARD = 0.7
SHINGLE = 4


def main(source: Path, target: Path) -> None:
    """Read a list of canonical texts, write the pairs and the figures."""
    from datasketch import MinHash, MinHashLSH

    texts = json.loads(source.read_text("utf-8"))
    before = peak_kb()
    begun = time.process_time()
    hashes = MinHash.bulk([shingles(text) for text in texts], num_perm=128)
    index = MinHashLSH(threshold=JACCARD, num_perm=128)
    found = []
    for position, one in enumerate(hashes):
        found += [(other, position) for other in index.query(one) if hashes[other].jaccard(one) >= JACCARD]
        index.insert(position, one, check_duplication=False)
    ended = time.process_time()
    target.write_text(
        json.dumps({"cpu_s": ended - begun, "corpus_mb": before / 1000, "peak_mb": peak_kb() / 1000, "pairs": found}), "utf-8"
    )


def shingles(text: str) -> list[bytes]:
    """Each run of four characters once."""
    padded = text.ljust(SHINGLE, "\0")
    return [run.encode() for run in {padded[at : at + SHINGLE] for at in range(len(padded) - SHINGLE + 1)}]


def peak_kb() -> int:
    """The most memory this program has held; `getrusage` would count what its parent held when it was started."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
