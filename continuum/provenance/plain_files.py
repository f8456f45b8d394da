"""Whether a folder holds plain files alone: nothing that a loader could unpickle, nothing that leads out of it.

A pickle is a program, and torch's own formats are pickles. Files are judged by their names and by their first bytes; none is
ever unpickled, unpacked or imported.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from continuum.errors import StoreError

PICKLED = {".bin", ".pt", ".pt2", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npz"}
"""Endings of files that some loader unpickles, whatever is in them."""
# Zip (torch's own format), gzip, bzip2, xz, zstandard, lz4, 7z: an archive hides what it holds.
ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf",
)
TAR = slice(257, 262)
LOOKED_AT = 1 << 20
"""Bytes of a file that are looked at; a sound pickle program that goes on behind them is taken for one."""
LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, at most: the limit of the format's own library."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

# What follows an opcode of the pickle machine: nothing, bytes of a fixed number, bytes that a little-endian length
# announces, or text up to one or two line ends.
BARE = b"()]}.012NQRabdelostu\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98"
FIXED = {
    b"J": 4,
    b"K": 1,
    b"M": 2,
    b"G": 8,
    b"q": 1,
    b"r": 4,
    b"h": 1,
    b"j": 4,
    b"\x80": 1,
    b"\x82": 1,
    b"\x83": 2,
    b"\x84": 4,
    b"\x95": 8,
}
COUNTED = {b"T": 4, b"U": 1, b"X": 4, b"\x8a": 1, b"\x8b": 4, b"\x8c": 1, b"\x8d": 8, b"\x8e": 8, b"B": 4, b"C": 1, b"\x96": 8}
LINES = {b"F": 1, b"I": 1, b"L": 1, b"S": 1, b"V": 1, b"P": 1, b"g": 1, b"p": 1, b"c": 2, b"i": 2}


def require_no_pickle(folder: str | Path) -> None:
    """Refuse a folder that holds a pickle or an archive, a broken safetensors file, or a link that leads out of it.

    Raises:
        StoreError: the message names the first such file.
    """
    for path in _everything(Path(folder)):
        fault = _fault(path)
        if fault:
            raise StoreError(f"{path} {fault}; only safetensors and plain text are loaded: remove it, or restore the folder")


def is_pickle(head: bytes) -> bool:
    """Whether the bytes begin like a program of the pickle machine, of any protocol from 0 to 5."""
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return True
    place, steps = 0, 0
    while place < len(head):
        opcode = head[place : place + 1]
        if opcode == b".":
            # A program that stops before it has put anything on its stack is no pickle: it is a full stop.
            return steps > 0
        after = _after(head, place, opcode)
        if after is None:
            return False
        place, steps = after, steps + 1
    # Whatever is longer than what was looked at has not been shown to be harmless.
    return len(head) >= LOOKED_AT


def _everything(root: Path) -> Iterator[Path]:
    """Files of a folder and of the folders in it, in the order of their names; links that stay inside are followed."""
    inside = root.resolve()
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(folder) / name
            if "\\" in name or any(ord(letter) < 32 for letter in name):
                raise StoreError(f"{path} has a name that means another file elsewhere; remove it")
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise StoreError(f"{path} is a link that leads out of {root}; put the file itself in its place")
            if name in files:
                yield path


def _refuse(error: OSError) -> None:
    raise StoreError(f"{error.filename} cannot be looked through: {error.strerror}") from error


def _fault(path: Path) -> str:
    """What is wrong with a file; empty when nothing is."""
    if path.suffix.lower() in PICKLED:
        return f"may be a pickle, as files that end in {path.suffix} are"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # Opening a pipe would wait for ever.
            return "is not a regular file"
        with path.open("rb") as file:
            head = file.read(LOOKED_AT)
    except OSError as error:
        return f"cannot be read ({error})"
    if path.suffix.lower() == ".safetensors":
        return _header_fault(path)
    if head.startswith(ARCHIVES) or head[TAR] == b"ustar":
        return "is an archive, which may hold a pickle"
    if head.startswith(b"\x93NUMPY") and b"O" in head[10:].split(b"fortran_order")[0]:
        return "is an array of pickled objects"
    return "is a pickle" if is_pickle(head) else ""


def _header_fault(path: Path) -> str:
    """What is wrong with a safetensors file, by its header and its length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LARGEST_HEADER, size - 8):
            return f"is no safetensors file: its header is said to have {length} bytes and the file has {size}"
        header = file.read(length)
    try:
        tensors: dict[str, Any] = json.loads(header)
        tensors.pop("__metadata__", None)
        spans = sorted(_span(tensor) for tensor in tensors.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"is no safetensors file: its header cannot be read ({type(error).__name__})"
    end = 0
    for start, stop, expected in spans:
        if start != end or stop - start != expected:
            return f"is no safetensors file: a tensor of {expected} bytes lies at {start} to {stop}, behind byte {end}"
        end = stop
    if 8 + length + end != size:
        return f"is no safetensors file: its tensors end at byte {8 + length + end} and the file has {size}"
    return ""


def _span(tensor: dict[str, Any]) -> tuple[int, int, int]:
    """Where a tensor's bytes begin and end, and how many they must be by its type and shape."""
    start, end = tensor["data_offsets"]
    bits = BITS[tensor["dtype"]]
    for extent in (start, end, *tensor["shape"]):
        if not isinstance(extent, int) or extent < 0:
            raise ValueError(extent)
    for extent in tensor["shape"]:
        bits *= extent
    return start, end, bits // 8


def _after(program: bytes, place: int, opcode: bytes) -> int | None:
    """Where the next opcode stands; None when this is none, or its argument cannot be one."""
    start = place + 1
    if opcode in BARE:
        return start
    if opcode in FIXED:
        return start + FIXED[opcode]
    if opcode in COUNTED:
        width = COUNTED[opcode]
        return start + width + int.from_bytes(program[start : start + width], "little")
    if opcode not in LINES:
        return None
    for _ in range(LINES[opcode]):
        end = program.find(b"\n", start)
        if end < 0:
            return len(program)
        if not _could_follow(opcode, program[start:end].strip()):
            return None
        start = end + 1
    return start


def _could_follow(opcode: bytes, line: bytes) -> bool:
    """Whether a line of text could be the argument of an opcode of protocol 0."""
    if opcode in b"FILgp":
        return bool(line) and line.strip(b"L") != b"" and not line.strip(b"+-0123456789.einfaEL")
    if opcode == b"S":
        return line[:1] in (b"'", b'"') and line[:1] == line[-1:]
    # A module and a name: a sentence has spaces.
    return opcode not in b"ci" or (bool(line) and b" " not in line)
