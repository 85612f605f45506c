"""A kernel as a plain NumPy function: its own source with `xp` written as `np`, and everything that it calls beside it."""
from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ..core.errors import FlowError
from .making import fresh

ERF = '''def erf(x):
    """The error function, which NumPy lacks."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), "float64", x.size).reshape(x.shape).astype(x.dtype)
'''


class Sources:
    """The functions that a script needs, in an order in which they can be defined."""

    def __init__(self, taken: set[str]):
        self.taken = taken
        self.parts: list[str] = []
        self.imports: set[str] = set()
        self._names: dict[int, str] = {}    # of an object → its name in the script
        self._kept: list[Any] = []          # the objects, so that no other gets the id of one

    def free(self, name: str) -> str:
        found = fresh(name, self.taken)
        self.taken.add(found)
        return found

    def function(self, found: Any, name: str | None = None) -> str:
        """The name of a function or class in the script, which is put in with all that it uses. FlowError if it has no Python source."""
        found = inspect.unwrap(found)
        if id(found) in self._names:
            return self._names[id(found)]
        name = name or found.__name__
        made = self._names[id(found)] = self.free(f"{name}_op" if hasattr(builtins, name) else name)     # another kernel may call Python's own
        self._kept.append(found)
        try:
            words = _words(found)
        except (OSError, TypeError, SyntaxError, IndexError):
            raise FlowError(f"{name or found} has no Python source to copy.", hint="Fetch what goes into it, or write its kernel in Python, in a file.") from None
        outside = _outside(found)
        names = {w: self._value(w, outside[w]) for w in words if w in outside}
        text = _text(found, made, tuple(names.items()))
        if "erf(" in text and "erf" not in names and ERF not in self.parts:
            self.imports.add("math")
            self.parts.insert(0, ERF)
        self.parts.append(text)
        return made

    def _value(self, word: str, found: Any) -> str:
        """How the script calls what a function finds under a word outside itself."""
        if isinstance(found, ModuleType):
            if found is np:
                return "np"
            self.imports.add(found.__name__)
            return found.__name__
        if isinstance(found, type) and issubclass(found, FlowError):
            return "ValueError"
        if isinstance(found, FunctionType) or isinstance(found, type) and found.__module__.startswith("flowlab"):
            return self.function(found)
        module = getattr(found, "__module__", None)
        if callable(found) and module in ("math", "itertools", "functools"):
            self.imports.add(module)
            return f"{module}.{found.__name__}"
        if isinstance(found, (int, float, str, bool, tuple, dict, type(None))):
            text = repr(found)
            return f"float({text!r})" if isinstance(found, float) and text in ("inf", "-inf", "nan") else text
        raise FlowError(f"its kernel uses {word}, a {type(found).__name__}, which a script cannot hold.", hint="Fetch what goes into it, or write its kernel in Python with NumPy and numbers alone.")


def _tree(found: Any) -> Any:
    """The source of a function or class, without annotations: they say nothing to NumPy."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    if not isinstance(tree, (ast.FunctionDef, ast.ClassDef)):
        raise TypeError
    tree.decorator_list = []
    for part in ast.walk(tree):
        if isinstance(part, ast.arg):
            part.annotation = None
        elif isinstance(part, ast.FunctionDef):
            part.returns = None
        elif isinstance(part, ast.AnnAssign):
            part.annotation = ast.Constant(None)
    return tree


@lru_cache(maxsize=1024)
def _words(found: Any) -> tuple[str, ...]:
    """The words that a function or class finds outside itself."""
    tree = _tree(found)
    return tuple(sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - _assigned(tree) - {"xp", tree.name}))


@lru_cache(maxsize=1024)
def _text(found: Any, made: str, names: tuple[tuple[str, str], ...]) -> str:
    """The function or class as a script has it: under its name there, and with what it calls under theirs."""
    tree = _tree(found)
    tree.name = made
    tree = _Folded().visit(_Plain(dict(names)).visit(tree))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _outside(found: Any) -> dict[str, Any]:
    """What the words of a function or class mean outside it."""
    if isinstance(found, type):
        return dict(vars(inspect.getmodule(found)))
    closure = dict(zip(found.__code__.co_freevars, (c.cell_contents for c in found.__closure__ or ())))
    return {**found.__globals__, **closure}


def _assigned(tree: ast.AST) -> set[str]:
    """The words that a function binds itself: parameters, variables, its own functions."""
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    found |= {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
    return found | {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n is not tree}


def _is_xp(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "xp" or isinstance(node, ast.Attribute) and node.attr == "xp"


class _Plain(ast.NodeTransformer):
    """xp becomes np, and what flowlab's array module has beside NumPy's what NumPy has for it."""

    def __init__(self, names: dict[str, str]):
        self.names = names

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        given = node.args
        for row in (given.posonlyargs, given.args, given.kwonlyargs):
            row[:] = [a for a in row if a.arg != "xp"]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value is not None else None

    def visit_Call(self, node: ast.Call) -> Any:
        call = node.func
        if isinstance(call, ast.Attribute) and _is_xp(call.value):
            match call.attr:
                case "compiled":
                    return ast.Constant(None)
                case "blocks":
                    return ast.Tuple([ast.Constant(...)], ast.Load())
                case "workspace":
                    node.args = node.args[:2]
                    call.attr = "empty"
                case "add_at":
                    call.value, call.attr = ast.Attribute(call.value, "add", ast.Load()), "at"
                case "windows":
                    call.value = ast.parse("np.lib.stride_tricks", mode="eval").body
                    call.attr = "as_strided"
                case "asarray" | "to_host" | "from_host":
                    call.attr = "asarray"
        elif isinstance(call, ast.Attribute) and call.attr == "erf":
            node.func = ast.Name("erf", ast.Load())
        elif isinstance(call, ast.Name) and self.names.get(call.id) == "ValueError":
            node.args, node.keywords = node.args[:1], []
        node.args = [a for a in node.args if not (isinstance(a, ast.Name) and a.id == "xp")]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id == "xp":
            return ast.Name("np", node.ctx)
        text = self.names.get(node.id)
        return node if text is None else ast.parse(text, mode="eval").body


class _Folded(ast.NodeTransformer):
    """Leave out what cannot happen: NumPy alone has no compiled loops, so whatever asks for one gets None."""

    def __init__(self) -> None:
        self.nothing: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        rows: dict[str, list[Any]] = {}
        for a in ast.walk(node):
            if isinstance(a, ast.Assign) and len(a.targets) == 1 and isinstance(a.targets[0], ast.Name):
                rows.setdefault(a.targets[0].id, []).append(a.value)
        others = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        outer, self.nothing = self.nothing, {k for k, values in rows.items() if k not in others and all(map(_none, values))}
        self.generic_visit(node)
        end = next((k for k, row in enumerate(node.body) if isinstance(row, ast.Return)), len(node.body))
        node.body = node.body[:end + 1] or [ast.Pass()]
        self.nothing = outer
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        if isinstance(node.targets[0], ast.Name) and (node.targets[0].id in self.nothing or node.targets[0].id == "np"):
            return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return ast.Constant(None) if node.id in self.nothing and isinstance(node.ctx, ast.Load) else node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if isinstance(node.left, ast.Constant) and node.left.value is None and isinstance(node.ops[0], (ast.Is, ast.IsNot)) and _none(node.comparators[0]):
            return ast.Constant(isinstance(node.ops[0], ast.Is))
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        return (node.body if node.test.value else node.orelse) if _known(node.test) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        ends = isinstance(node.op, ast.Or)      # the value that decides
        values: list[ast.expr] = []
        for v in node.values:
            if not _known(v):
                values.append(v)
            elif v.value is ends:
                values.append(v)
                break
        if not values:
            return ast.Constant(not ends)
        if len(values) == 1 or _known(values[0]):
            return values[0]
        node.values = values
        return node

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if _known(node.test):
            return (node.body if node.test.value else node.orelse) or None
        node.body = node.body or [ast.Pass()]
        return node

    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def _none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None or isinstance(node, ast.IfExp) and _none(node.body) and _none(node.orelse)


def _known(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)
