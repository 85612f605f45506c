"""Run a notebook with no browser and pass on what its cells print: python tools/run_notebook.py FILE [EXECUTED]

It runs in a folder of its own with the exercises beside it, which is gone afterwards; EXECUTED keeps the notebook with its outputs."""
from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class Loud(NotebookClient):
    """A notebook run that prints what its cells print, as they print it."""

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] == "stream":
            content = message["content"]
            print(content["text"], end="", flush=True, file=getattr(sys, content["name"]))
        return super().process_message(message, cell, cell_index)


def main(path: Path, executed: Path | None = None) -> int:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="flowlab-") as folder:
        if (path.parent / "exercises").is_dir():
            shutil.copytree(path.parent / "exercises", Path(folder) / "exercises")
        client = Loud(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            if executed is not None:
                nbformat.write(notebook, executed)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
