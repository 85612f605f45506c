"""What an operation of one's own is held to: how its kernel is declared, and what the kernel returns."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from .errors import AttributeValueError, FlowError, nearest, plural
from .types import KINDS, TensorType, shape_text


def refuse_declaration(kernel: Any, function: str, attributes: Mapping[str, str], infer: Any, outputs: Any, choices: Mapping[str, Any], words: Iterable[str], known: Iterable[str]) -> None:
    """AttributeValueError that says what is wrong with an operation's declaration; nothing if it is sound.

    `attributes`: annotation → kind. `words`: further keywords of the declaration, and those that there are (`known`).
    """
    def bad(why: str, hint: str = "") -> AttributeValueError:
        return AttributeValueError(f"the operation {function or '?'}: {why}.", hint=hint)

    code = getattr(kernel, "__code__", None)
    if code is None:
        raise bad(f"its kernel is {kernel!r}, not a Python function", "Write @fl.op(…) above def f(xp, x): …")
    if not function.isidentifier():
        raise bad(f"{function!r} cannot be the name of a function", 'Use def instead of lambda, or say function="name".')
    names, n, k, notes = code.co_varnames, code.co_argcount, code.co_kwonlyargcount, kernel.__annotations__
    if not n or names[0] != "xp":
        raise bad(f"its kernel's first parameter is {names[0] if n else 'missing'}, not xp", f"def {function}(xp, x): xp is the array module, NumPy or CuPy; use it instead of np.")
    if code.co_flags & 0x08:
        raise bad("its kernel takes **" + names[n + k + bool(code.co_flags & 0x04)] + ", so its attributes are not known", "Name each: def f(xp, x, *, rate: float = 1.0).")
    for name, value in zip(names[n - len(kernel.__defaults__ or ()):n], kernel.__defaults__ or ()):
        if value is not None:
            raise bad(f"its input {name} has the default {value!r}, and an input is a tensor", f"Attributes come after a star: def {function}(xp, x, *, {name}: {type(value).__name__} = {value!r}).")
    for name in names[1:n]:
        kind = annotation(notes.get(name, ""))
        if kind and kind not in KINDS:
            raise bad(f"its input {name} is annotated {kind!r}, which is no kind of input", f'Use "{(nearest(kind, KINDS, n=1) or ["Float"])[0]}"; there are {", ".join(KINDS)}. A number goes after a star.')
    for name in names[n:n + k]:
        if name == "key":
            continue
        kind = annotation(notes.get(name, "")).removesuffix(" | None")
        if kind not in attributes:
            said = f"is annotated {kind!r}, which is no kind of attribute" if kind else "has no annotation"
            raise bad(f"its attribute {name} {said}", f"Write {name}: float = 1.0, or another of {', '.join(attributes)}.")
        if kind == "Choice" and not choices.get(name):
            raise bad(f"its attribute {name} is a Choice, and nothing says of what", f'@fl.op(choices={{"{name}": ("a", "b")}})')
    if isinstance(outputs, str) or not isinstance(outputs, Sequence) or not all(isinstance(o, str) and o.isidentifier() for o in outputs) or len(set(outputs)) < len(outputs):
        raise bad(f"its outputs are {outputs!r}", 'Name each output once, in a tuple: outputs=("values", "indices").')
    if not callable(infer):
        raise bad(f"its shape rule is {infer!r}", "infer is a function of the inputs' types that returns the output's.")
    for word in words:
        if word not in known:
            raise bad(f"fl.op takes no {word}", f"Did you mean {near[0]}?" if (near := nearest(word, known, n=1)) else f"There are {', '.join(known)}.")


def annotation(found: Any) -> str:
    """An annotation as it was written."""
    return found.strip("\"' ") if isinstance(found, str) else getattr(found, "__name__", None) or str(found)


def may_replace(old: Callable, new: Callable) -> bool:
    """Is the new kernel the old one once more: a notebook's cell that ran again, or a module that was reloaded?"""
    old = getattr(old, "__wrapped__", old)
    if (old.__module__, old.__qualname__) != (new.__module__, new.__qualname__) or "<locals>" in new.__qualname__:
        return False
    if new.__module__ == "__main__":
        return hasattr(sys, "ps1")      # Python sets it when a person types
    a, b = old.__code__, new.__code__
    return (a.co_filename, a.co_firstlineno) == (b.co_filename, b.co_firstlineno)


def is_own(kernel: Callable) -> bool:
    """Is this kernel a person's own, rather than one of flowlab's?"""
    return kernel.__module__.partition(".")[0] != __name__.partition(".")[0]


class _Typed:
    """An array as a shape rule sees it."""

    __slots__ = ("type",)

    def __init__(self, array: Any):
        self.type = TensorType(tuple(array.shape), np.dtype(array.dtype))


_REMEMBERED = 64    # sets of shapes whose outputs an op's wrapper keeps in mind


def held(op: Any, kernel: Callable) -> Callable:
    """The kernel, whose outputs are compared with what the shape rule says of the inputs: a wrong one is an error here, not three nodes on."""
    known: dict[Any, tuple[TensorType, ...]] = {}

    def declared(arrays: tuple, named: dict[str, Any]) -> tuple[TensorType, ...]:
        """What the outputs must be; the rule is asked once for each set of shapes."""
        try:
            key = (*[(a.shape, a.dtype) for a in arrays], *[(n, (v.shape, v.dtype) if n not in op.attrs else v) for n, v in named.items() if n != "key"])
            want = known.get(key)
        except TypeError:       # an attribute that is an array
            key, want = None, None
        if want is None:
            ports = op.ports(len(arrays)) if op.variadic or len(arrays) == len(op.inputs) else [i.name for i in op._required]
            inputs = [*zip(ports, arrays), *((i.name, named[i.name]) for i in op.inputs if i.optional and i.name in named)]
            try:
                want = op.infer([_Typed(a) for _, a in inputs], tuple(p for p, _ in inputs), {n: v for n, v in named.items() if n in op.attrs})
            except FlowError as error:      # sizes that were not known when the node was made
                raise ValueError(str(error)) from error
            if key is not None:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[key] = want
        return want

    @wraps(kernel)
    def checked(xp: Any, *arrays: Any, **named: Any) -> Any:
        want = declared(arrays, named)
        out = kernel(xp, *map(_locked, arrays), **{n: _locked(v) if n not in op.attrs else v for n, v in named.items()})
        if len(want) == 1 and type(out) is np.ndarray and out.shape == want[0].shape and out.dtype == want[0].dtype and not op.many:
            return out
        return _checked(op, want, out)
    return checked


def _locked(array: Any) -> Any:
    """The array, which a kernel may read and not write: others read it too."""
    if type(array) is not np.ndarray or not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _checked(op: Any, want: tuple[TensorType, ...], out: Any) -> Any:
    """What a kernel returned, if it is what is declared; else an error that says both."""
    names = op.output_names(len(want))
    many = len(want) != 1 or op.many
    if many and not isinstance(out, (tuple, list)):
        raise TypeError(f"it declares {plural(len(want), 'output')} ({', '.join(names)}), and the kernel returned {_said(out)}")
    outs = tuple(out) if many else out if type(out) is tuple else (out,)
    if len(outs) != len(want):
        raise TypeError(f"it declares {plural(len(want), 'output')} ({', '.join(names)}), and the kernel returned {len(outs)}")
    for name, t, value in zip(names, want, outs):
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise TypeError(f"its output {name} is declared {t}, and the kernel returned {_said(value)}: no array")
        if value.dtype != t.dtype:
            raise TypeError(f"its output {name} is declared {t}, and the kernel returned {value.dtype}: add .astype(x.dtype), or say so in infer")
        if len(value.shape) != t.rank or any(isinstance(d, int) and d != n for d, n in zip(t.shape, value.shape)):
            raise ValueError(f"its output {name} is declared {shape_text(t.shape)} for these inputs, and the kernel returned {shape_text(value.shape)}: change the kernel or infer")
    return outs if many else outs[0]


def _said(value: Any) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
