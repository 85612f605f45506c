"""The suite of the package onnx, on flowlab's backend. `python -m tests.io.onnx_suite` prints how many cases pass, by category; with --write it lists those that do not.

What does not pass stands in onnx_suite.txt, with its reason.
"""
from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from flowlab.apps.onnx_backend import Backend

CATEGORIES = ("node", "simple", "pytorch-converted", "pytorch-operator")
LISTED = Path(__file__).with_suffix(".txt")
# where the numbers differ and why: what a case compares with is the draws of one generator, or the rounding of one library
DIFFERS = {
    r"loop16_seq_none": "the suite's own runner cannot compare a sequence of numbers without axes",
    r"bernoulli|training_dropout": "it compares random draws, and flowlab draws its own",
    r"dft_inverse": "where 0 is right it wants the rounding of one library's FFT, 2e-07; flowlab gives 5e-15",
    r"swiglu_float16": "one float16 is off by more than the case's 0.1 %: it rounds between other operations",
}


@cache
def cases(category: str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # NumPy's, of what the cases compute
        return load_model_tests(kind=category)


def _values(folder: Path, kind: str, infos: Any) -> list[Any]:
    read = {"tensor_type": (onnx.TensorProto, numpy_helper.to_array), "sequence_type": (onnx.SequenceProto, numpy_helper.to_list), "optional_type": (onnx.OptionalProto, numpy_helper.to_optional)}
    out = []
    for k, info in enumerate(infos):
        path = folder / f"{kind}_{k}.pb"
        if path.exists():
            proto, value = read[info.type.WhichOneof("value")]
            out.append(value(proto.FromString(path.read_bytes())))
    return out


def _arrays(values: Any) -> list[Any]:
    return [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]


def run(case: Any) -> None:
    """Prepare the case's model and compare its outputs as the suite's own runner does."""
    if case.model is None:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        sets = [(_values(d, "input", model.graph.input), _values(d, "output", model.graph.output)) for d in sorted(folder.glob("test_data_set_*"))]
    else:
        model, sets = case.model, case.data_sets
    ready = Backend.prepare(model)
    for inputs, expected in sets:
        Runner.assert_similar_outputs(_arrays(expected), list(ready.run(_arrays(inputs))), case.rtol, case.atol)


def outcomes(category: str) -> Iterator[tuple[str, str]]:
    """(name, why it does not pass, or nothing) of every case."""
    for case in cases(category):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(case)
        except (AssertionError, TypeError) as error:
            reason = next((why for pattern, why in DIFFERS.items() if re.search(pattern, case.name)), f"other numbers: {' '.join(str(error).split())[:120]}")
        except Exception as error:
            reason = " ".join(f"{error}".split())[:240] or type(error).__name__
            plain = re.search(r"flowlab has no (dtype \w+|sequences|optional values|values without a type|operation for ONNX's [\w.]+\w)", reason)
            reason = plain[0] if plain else reason
        else:
            reason = ""
        yield case.name, reason


def listed() -> dict[tuple[str, str], str]:
    """(category, name) → reason, as the file has it."""
    found, reason = {}, ""
    for line in LISTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line.strip():
            category, name = line.split()
            found[category, name] = reason
    return found


def main(write: bool) -> None:
    missing: dict[str, list[str]] = {}
    print(f"onnx {onnx.__version__}")
    for category in CATEGORIES:
        start, results = time.perf_counter(), list(outcomes(category))
        for name, reason in results:
            if reason:
                missing.setdefault(reason, []).append(f"{category} {name}")
        passed = sum(not reason for _, reason in results)
        print(f"{category:20} {passed:5} of {len(results):5}   {passed / len(results):6.1%}   {time.perf_counter() - start:5.1f} s")
    if write:
        LISTED.write_text("\n\n".join(f"# {reason}\n" + "\n".join(sorted(names)) for reason, names in sorted(missing.items())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main("--write" in sys.argv)
