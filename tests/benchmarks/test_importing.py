"""The benchmark of the import: what is too dear misses its goal, and a line that fails is not taken for a cheap one."""

from pathlib import Path

import pytest

from benchmarks.analytics import importing
from benchmarks.claims import Setting


def measured(monkeypatch: pytest.MonkeyPatch, folder: Path, ours_ms: list[float]) -> bool | None:
    """Whether the claim holds where a bare interpreter takes 10 ms and ours takes these, one a round."""
    of_ours = iter([ours_ms[0], *ours_ms])
    monkeypatch.setattr(importing, "cpu_ms", lambda code, folder: next(of_ours) if code == "import continuum" else 10.0)
    result = importing.measure(Setting(quick=True, folder=folder, data=None, seed=0, say=lambda text: None))
    assert result.table.row_count == len(importing.PROGRAMS)
    return result.entries[0].holds


def test_the_median_of_the_rounds_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert measured(monkeypatch, tmp_path, [100, 120, 115, 900, 90]) is True
    assert measured(monkeypatch, tmp_path, [121, 130, 125, 90, 128]) is False


def test_a_line_that_fails_is_an_error_and_no_figure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"'import nothing_of_the_sort' ended with 1; is the project installed"):
        importing.cpu_ms("import nothing_of_the_sort", tmp_path)
    assert "ModuleNotFoundError" in capfd.readouterr().err


def test_a_process_is_charged_with_what_it_used(tmp_path: Path) -> None:
    assert importing.cpu_ms("pass", tmp_path) > 0
