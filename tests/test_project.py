"""What holds for the project as a whole: its layers, its weight, its parts that are generated, its packages."""
from __future__ import annotations

import doctest
import importlib
import importlib.metadata
import json
import os
import pkgutil
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import flowlab as fl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import hatch_build  # noqa: E402  (the build hook is no part of the package)

BUNDLES = [f"flowlab/widgets/static/{name}" for name in hatch_build.BUNDLES]
LATER = ["anywidget", "ipywidgets", "IPython", "plotly", "cupy", "numba", "onnx", "scipy", "jax", "torch", "jupyterlab", "tqdm", "fastapi", "uvicorn", "distributed"]


def run_python(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True)


# ---------------------------------------------------------------- layers and style


def test_imports_go_downward_only():
    linted = run_python("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_style():
    linted = run_python("-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def module_names() -> list[str]:
    # __main__ runs the command line; fast is imported only where the extra of that name is there, and has no examples
    return [module.name for module in pkgutil.walk_packages(fl.__path__, "flowlab.") if not module.name.endswith(("__main__", "runtime.fast"))]


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


# ---------------------------------------------------------------- weight


def test_import_loads_numpy_and_the_core_alone():
    loaded = run_python("-c", "import sys, flowlab; print(*sys.modules)")
    assert loaded.returncode == 0, loaded.stderr
    assert not set(LATER) & set(loaded.stdout.split())


# ---------------------------------------------------------------- one source for each thing


def test_every_test_file_has_a_name_of_its_own():
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({n for n in names if names.count(n) > 1}) == [], "pytest imports them by their names, so it stops at the second"


def test_the_version_is_the_same_everywhere():
    assert importlib.metadata.version("flowlab") == fl.__version__
    assert json.loads((ROOT / "widgets" / "package.json").read_text())["version"] == fl.__version__
    assert f"## {fl.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_page_speaks_the_kernels_messages():
    from flowlab.widgets import protocol

    generated = (ROOT / "widgets" / "src" / "protocol.gen.ts").read_text(encoding="utf-8")
    assert generated == protocol.render(), "run `make protocol`"


def test_the_page_type_checks():
    checked = run_python("hatch_build.py", "npm", "run", "typecheck")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_passes_its_own_tests():
    tested = run_python("hatch_build.py", "npm", "test")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_lock_file_names_no_host():
    assert "resolved" not in (ROOT / "widgets" / "package-lock.json").read_text()


def test_links_in_the_readme_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{page} → {link}"


def test_the_first_graph_in_the_readme_runs():
    code = re.search(r"## The first graph\n+```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    ran = run_python("-c", code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


# ---------------------------------------------------------------- packages


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and a source archive, made as pip makes them."""
    folder = tmp_path_factory.mktemp("packages")
    built = run_python("-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder))
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_wheel_holds_page_notebooks_and_server_extension(packages):
    wheel, = packages.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    notebooks = [f"flowlab/{path.relative_to(ROOT).as_posix()}" for kind in ("*.ipynb", "*.json") for path in (ROOT / "notebooks").rglob(kind)]
    assert "flowlab/notebooks/01_dataflow_graphs.ipynb" in notebooks
    assert not {*BUNDLES, *notebooks, "flowlab/core/graph.py", "flowlab/include/flowlab_op.h"} - set(names)
    assert any(name.endswith("/data/etc/jupyter/jupyter_server_config.d/flowlab.json") for name in names)
    assert not [name for name in names if "node_modules" in name or name.startswith(("tests/", "widgets/")) or ".ipynb_checkpoints" in name]


def test_the_source_archive_can_build_the_page_again(packages):
    archive, = packages.glob("*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(archive).getnames()}
    page = {f"widgets/{name}" for name in ("package.json", "package-lock.json", "tsconfig.json", "build.mjs", "inline-workers.mjs", "src/protocol.gen.ts")}
    assert not {"hatch_build.py", "LICENSE", *page, *BUNDLES} - names
    assert not [name for name in names if "node_modules" in name]


# ---------------------------------------------------------------- the build hook


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """A page that is built by copying, with the real npm."""
    page = tmp_path / "widgets"
    (page / "src").mkdir(parents=True)
    (tmp_path / "flowlab" / "widgets" / "static").mkdir(parents=True)
    (page / "src" / "protocol.gen.ts").write_text("export const VERSION = 7;\n")
    (page / "src" / "editor.ts").write_text("export default 1;\n")
    copy = "; ".join(f"fs.copyFileSync('src/editor.ts', '../{bundle}')" for bundle in BUNDLES)
    (page / "build.mjs").write_text(f"import fs from 'node:fs'; {copy};\n")
    (page / "tsconfig.json").write_text("{}\n")
    (page / "inline-workers.mjs").write_text("export {};\n")
    package = {"name": "small", "version": "0.0.0", "private": True}
    (page / "package.json").write_text(json.dumps({**package, "scripts": {"build": "node build.mjs"}}))
    (page / "package-lock.json").write_text(json.dumps({**package, "lockfileVersion": 3, "packages": {"": package}}))
    return tmp_path


def test_the_page_is_built_once_and_again_when_anything_changes(small_project):
    assert hatch_build.build_page(small_project)
    assert not hatch_build.build_page(small_project)
    page = small_project / "widgets"
    for changed in ("src/editor.ts", "build.mjs", "package.json", "package-lock.json", "tsconfig.json", "inline-workers.mjs"):
        (page / changed).write_text((page / changed).read_text() + "\n")
        assert hatch_build.build_page(small_project), changed
    (page / "src" / "extra.ts").write_text("")
    assert hatch_build.build_page(small_project)
    (page / "src" / "extra.ts").unlink()
    assert hatch_build.build_page(small_project)
    (small_project / BUNDLES[0]).unlink()
    assert hatch_build.build_page(small_project)
    assert json.loads((small_project / "flowlab/widgets/static/build.json").read_text())["protocol"] == 7


def test_a_page_that_does_not_build_says_so(small_project):
    (small_project / "widgets" / "build.mjs").write_text("process.exit(3);\n")
    with pytest.raises(hatch_build.PageBuildError, match=r"`npm run build` failed .*exit status 3"):
        hatch_build.build_page(small_project)
    (small_project / "widgets" / "build.mjs").write_text("")
    with pytest.raises(hatch_build.PageBuildError, match=r"built without editor\.js"):
        hatch_build.build_page(small_project)
