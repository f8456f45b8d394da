"""Imports an export of Langfuse, and says what came of it."""

import sys

from continuum import import_file


def main(path: str, task: str) -> None:
    """Import the file under the task."""
    report = import_file(path, task=task)
    print(f"{report.added} interactions added, {report.already_there} were there, {report.feedback_added} verdicts")
    for note in report.notes:
        print(f"note: {note}")
    for refusal in report.refused:
        print(f"refused: {refusal.place}: {refusal.reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
