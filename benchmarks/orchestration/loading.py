"""What the code location costs before it does anything: memory, and processor time from a fresh interpreter to its definitions.

The peer is a code location of seven assets that do nothing, in the same line. Each is loaded in a process of its own, ours and
the peer's in turns, so that what else the machine does falls on both.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import Entry, Result, Setting, table

ROOT = Path(__file__).parents[2]
LOADS, LOADS_QUICK = 15, 3
MOST_MB, MOST_RATIO = 150, 2.0
OURS = "from continuum_pipelines.definitions import defs"
BARE = """
import dagster as dg

def trivial(number):
    @dg.asset(name=f"asset_{number}", deps=[f"asset_{number - 1}"] if number else [])
    def asset() -> None: ...
    return asset

defs = dg.Definitions(assets=[trivial(number) for number in range(7)])
"""
LOAD = """
import json, sys, time
begun = time.process_time()
{source}
imported = time.process_time()
repository = defs.get_repository_def()
repository.load_all_definitions()
resolved = time.process_time()
from dagster._core.remote_representation.external_data import RepositorySnap
RepositorySnap.from_def(repository)
shown = time.process_time()
# Of this program alone: the figure of getrusage goes on from the process that started it.
(peak_kib,) = (int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({{
    "import": imported - begun,
    "resolved": resolved - begun,
    "shown": shown - begun,
    "peak_mb": peak_kib * 1024 / 1e6,
    "modules": len(sys.modules),
}}))
"""
"""Times in processor seconds since the interpreter was ready; the last is that of the description which the UI is given."""
SERVER = ("-m", "dagster", "api", "grpc")


@dataclass(frozen=True)
class Load:
    """What one process took."""

    imported_s: float
    resolved_s: float
    shown_s: float
    peak_mb: float
    modules: int


def measure(setting: Setting) -> Result:
    """Load ours and the bare one in turns."""
    sources = {"ours": OURS, "bare": BARE}
    loads: dict[str, list[Load]] = {name: [] for name in sources}
    for number in range(LOADS_QUICK if setting.quick else LOADS):
        setting.say(f"loading: {number}")
        # Who comes first takes turns too.
        for name in sorted(sources, reverse=bool(number % 2)):
            loads[name].append(loaded(sources[name], setting.folder))
    servers = {name: served_mb(source, setting.folder) for name, source in sources.items()}
    ours, bare = typical(loads["ours"]), typical(loads["bare"])
    shown = table(f"Loading a code location in a fresh process, median of {len(loads['ours'])}", "", "ours", "bare", "ratio")
    for what, one, other in (
        ("processor s, import", ours.imported_s, bare.imported_s),
        ("processor s, import and definitions", ours.resolved_s, bare.resolved_s),
        ("processor s, and its description for the UI", ours.shown_s, bare.shown_s),
        ("peak memory, MB", ours.peak_mb, bare.peak_mb),
        ("memory of its gRPC server once it is well, MB", servers["ours"], servers["bare"]),
        ("modules", float(ours.modules), float(bare.modules)),
    ):
        shown.add_row(what, f"{one:.3g}", f"{other:.3g}", f"{one / other:.2f}")
    entries = [
        Entry.of_value("peak memory of loading the code location, MB", ours.peak_mb, "<=", MOST_MB, bare.peak_mb),
        Entry.of_value("memory of the code location's server, MB", servers["ours"], "<=", MOST_MB, servers["bare"]),
        Entry.of_ratio("processor time to import and resolve the definitions", ours.resolved_s, bare.resolved_s, MOST_RATIO),
    ]
    spread = [load.resolved_s for load in loads["ours"]]
    return Result(entries, shown, [f"ours, import and definitions: {min(spread):.2f} to {max(spread):.2f} processor s"])


def loaded(source: str, folder: Path) -> Load:
    """Load definitions in a process of its own, in an empty home."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(source=source)],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Load(found["import"], found["resolved"], found["shown"], found["peak_mb"], found["modules"])


def served_mb(source: str, folder: Path) -> float:
    """Resident memory of the process that serves definitions to Dagster, once its health check says that it is well."""
    file, port_file = folder / "location.py", folder / "server"
    file.write_text(source, encoding="utf-8")
    port_file.unlink(missing_ok=True)
    command = [sys.executable, *SERVER, "--socket", str(port_file), "--python-file", str(file)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            wait_until_well(port_file)
            pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def wait_until_well(socket: Path, seconds: float = 120) -> None:
    """Ask a server until it answers.

    Raises:
        RuntimeError: it does not in time.
    """
    from dagster._grpc.client import DagsterGrpcClient

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        # It says what went wrong at length where there is no socket yet.
        if socket.exists() and DagsterGrpcClient(socket=str(socket)).health_check_query() == "SERVING":
            return
        time.sleep(0.2)
    raise RuntimeError(f"the code location's server was not well after {seconds:.0f} s")


def environment(folder: Path) -> dict[str, str]:
    """An empty home, and none of the machine's settings of Continuum or Dagster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONTINUUM_", "DAGSTER_"))}
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    return {**kept, "CONTINUUM_HOME": str(folder), "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"}


def typical(loads: list[Load]) -> Load:
    """The median of each figure."""
    return Load(
        statistics.median(load.imported_s for load in loads),
        statistics.median(load.resolved_s for load in loads),
        statistics.median(load.shown_s for load in loads),
        statistics.median(load.peak_mb for load in loads),
        round(statistics.median(load.modules for load in loads)),
    )
