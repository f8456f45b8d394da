"""Cosines as whole numbers, so that what is chosen by them is chosen alike on any machine.

The last bits of a product of floats depend on the order in which a machine adds, and a greedy choice that hangs on them becomes
another choice elsewhere. Components are therefore rounded to multiples of 1/4000: every partial sum of a dot product is then a
whole number below 2^24, which single precision holds exactly whatever the order. A cosine is off by about 1e-4.
"""

import numpy as np

SCALE = 4000
"""Parts of one. (4000 + sqrt(dimensions) / 2) ** 2 stays below 2^24 up to 36,000 dimensions."""
SQUARE = SCALE * SCALE
"""The product of two equal rows, so the cosine of one."""
FINE = 1 << 20


def whole(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one in 4000ths: float32 whole numbers, shape as given."""
    return np.rint(np.asarray(vectors, dtype=np.float32) * np.float32(SCALE))


def directions(sums: np.ndarray) -> np.ndarray:
    """The directions of sums of whole rows, again in 4000ths; a sum of nothing keeps its zeros. Shape (rows, dimensions)."""
    largest = np.abs(sums).max(axis=1, keepdims=True, initial=0)
    # Whole numbers below 2^20: their squares are added without rounding too.
    scaled = np.rint(sums / np.where(largest > 0, largest, 1) * FINE).astype(np.int64)
    lengths = np.sqrt((scaled**2).sum(axis=1, keepdims=True).astype(np.float64))
    return np.rint(scaled / np.where(lengths > 0, lengths, 1) * SCALE).astype(np.float32)


def total(rows: np.ndarray) -> np.ndarray:
    """The sum of whole rows, exact; shape (1, dimensions)."""
    return rows.sum(axis=0, keepdims=True, dtype=np.float64)
