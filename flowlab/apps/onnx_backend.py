"""A backend as the package onnx describes one: it runs models and nodes on flowlab, and the suite that comes with onnx tests it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend import base

from ..core.errors import FlowError, UnknownOpError
from ..io.onnx.files import check
from ..io.onnx.reading import Imported, imported
from ..runtime.device import Devices
from ..runtime.session import Session


class Prepared(base.BackendRep):
    """A model that is ready to run. What it takes as inputs but flowlab must know before, such as the shape of a reshape, is read anew at a run."""

    def __init__(self, model: onnx.ModelProto, device: str):
        self.model, self.device = model, device
        weights = {t.name for t in model.graph.initializer}
        self.inputs = [i.name for i in model.graph.input if i.name not in weights]
        self.outputs = [o.name for o in model.graph.output]
        self._types = [onnx.helper.tensor_dtype_to_np_dtype(o.type.tensor_type.elem_type) if o.type.tensor_type.elem_type else None for o in model.graph.output]
        self._ready: dict[Any, tuple[Imported, Session]] = {}
        got = self._read({}, {})
        self._fixed, self._shaped = self._missing(got)

    def _read(self, given: Mapping[str, Any], shapes: Mapping[str, Any]) -> Imported:
        return imported(self.model, given, shapes, checked=True)

    def _missing(self, got: Imported) -> tuple[tuple[str, ...], bool]:
        """(inputs whose values would have to be known, whether shapes would); UnknownOpError where that would not help."""
        if not got.opaque:
            return (), False
        name, operator, why = got.opaque[0]
        if not why.needs and not why.sizes:
            raise UnknownOpError(f"{operator}: {why.reason}.", node=name)
        return tuple(n for n in self.inputs if n in why.needs and not why.sizes), why.sizes

    def run(self, inputs: Any, **options: Any) -> tuple[Any, ...]:
        """The outputs, for inputs in the model's order or by name."""
        given = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(self.inputs, inputs if isinstance(inputs, (list, tuple)) else [inputs]))
        arrays = {name: [np.asarray(v) for v in value] if isinstance(value, list) else None if value is None else np.asarray(value) for name, value in given.items()}
        got, session = self._session(arrays)
        missing = [o for o in self.outputs if o not in got.outputs]
        if missing:
            raise UnknownOpError(f"the output {missing[0]} cannot be computed: {got.opaque[0][2].reason if got.opaque else 'flowlab has no values of its kind'}.")
        feeds = {}
        for name, t in got.inputs.items():
            for tensor, array in zip(t, arrays[name]) if isinstance(t, list) else [(t, arrays[name])] if t is not None and name in arrays else []:
                feeds[tensor] = array.astype(tensor.dtype, copy=False)
        values = session.run({o: got.outputs[o] for o in self.outputs if got.outputs[o] is not None}, feeds)
        # what flowlab holds in a wider dtype leaves in the model's own
        return base.namedtupledict("Outputs", self.outputs)(*(values.get(o) if kind is None else values[o].astype(kind, copy=False) for o, kind in zip(self.outputs, self._types)))

    def _session(self, arrays: Mapping[str, Any]) -> tuple[Imported, Session]:
        for _ in range(8):
            fixed = {n: arrays[n] for n in self._fixed if n in arrays}
            key = (tuple((n, a.shape, a.tobytes()) for n, a in fixed.items()), tuple((n, str(_shape(a))) for n, a in arrays.items()) if self._shaped else None)
            found = self._ready.get(key)
            if found is None:
                got = self._read(fixed, {n: _shape(a) for n, a in arrays.items() if n not in fixed} if self._shaped else {})
                more, shaped = self._missing(got)
                if shaped and self._shaped:     # shapes alone do not help: the values
                    more, shaped = tuple(got.opaque[0][2].needs), False
                if set(more) - set(self._fixed) or shaped and not self._shaped:
                    self._fixed, self._shaped = tuple(n for n in self.inputs if n in {*more, *self._fixed}), shaped or self._shaped
                    continue
                if got.opaque:
                    raise UnknownOpError(f"{got.opaque[0][1]}: {got.opaque[0][2].reason}.", node=got.opaque[0][0])
                if len(self._ready) >= 8:
                    self._ready.clear()
                found = self._ready[key] = (got, Session(got.graph, device=self.device))
            return found
        raise FlowError("the model needs more and more of its inputs before it can be read.")


def _shape(value: Any) -> Any:
    return None if value is None else [v.shape for v in value] if isinstance(value, list) else value.shape


class Backend(base.Backend):
    """`Backend.prepare(model).run(inputs)`, `run_model`, `run_node`, as the package onnx has them.

    >>> import numpy as np, onnx.helper as h
    >>> Backend.run_node(h.make_node("Relu", ["x"], ["y"]), [np.array([-1.0, 2.0], "float32")])
    Outputs(y=array([0., 2.], dtype=float32))
    """

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> Prepared:
        """Read a model; UnknownOpError if flowlab has no operation for one of its nodes, whatever its inputs are."""
        if not cls.supports_device(device):
            raise FlowError(f"there is no device {device!r} here.", hint="CPU, or CUDA with the gpu extra and a card.")
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        check(copy, None)
        return Prepared(copy, _device(device))

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> bool:
        """Can it be run here?"""
        try:
            cls.prepare(model, device)
        except FlowError:
            return False
        return True

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU", outputs_info: Sequence[Any] | None = None, **options: Any) -> tuple[Any, ...]:
        """One node on arrays; `opset_version` says of which version it is (default: the newest)."""
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        arrays = [np.asarray(v) for v in given]
        names = [n for n in node.input if n]
        ins = [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in zip(names, arrays)]
        outs = [onnx.helper.make_empty_tensor_value_info(n) for n in node.output if n]
        version = options.get("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "node", ins, outs), opset_imports=[onnx.helper.make_opsetid(node.domain, version)])
        return Prepared(model, _device(device)).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Is there a device of that kind: "CPU", "CUDA", "CUDA:1"?"""
        return not isinstance(Devices().find(_device(device)), str)


def _device(device: str) -> str:
    kind, _, number = device.partition(":")
    return f"{'gpu' if kind.upper() == 'CUDA' else kind.lower()}:{number or 0}"


prepare, run_model, run_node, supports_device, is_compatible = Backend.prepare, Backend.run_model, Backend.run_node, Backend.supports_device, Backend.is_compatible

__all__ = ["Backend", "Prepared", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]
