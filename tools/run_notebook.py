"""Run a notebook with no browser and pass on what its cells print: python tools/run_notebook.py FILE"""
from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class Loud(NotebookClient):
    """A notebook run that prints what its cells print, as they print it."""

    def process_message(self, message, cell, cell_index):
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                print(content["text"], end="", flush=True, file=getattr(sys, content["name"]))
            case "execute_result":
                print(content["data"].get("text/plain", ""), flush=True)
        return super().process_message(message, cell, cell_index)


def main(path: Path) -> int:
    notebook = nbformat.read(path, as_version=4)
    client = Loud(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
