"""What leaves for ONNX: declarations against the standard, files against its checker, numbers against onnxruntime."""
from __future__ import annotations

import onnx
import pytest

import flowlab as fl
from flowlab.core.op import REGISTRY

OPSET = 20


@pytest.mark.parametrize("op", [o for o in REGISTRY.values() if o.onnx], ids=lambda o: o.name)
def test_a_declared_counterpart_is_in_the_standard_with_these_inputs_and_attributes(op):
    schema = onnx.defs.get_schema(op.onnx, OPSET)
    required = [i for i in schema.inputs if i.option == onnx.defs.OpSchema.FormalParameterOption.Single]
    assert schema.min_input <= len(op.inputs) <= schema.max_input and len(required) <= len(op.inputs)
    assert set(op.onnx_attrs) <= set(op.attrs)
    assert {op.onnx_attrs.get(name, name) for name in op.attrs} <= set(schema.attributes)


def test_an_op_of_ones_own_may_name_its_counterpart():
    @fl.op(onnx="Clip", onnx_attrs={"low": "min"})
    def held_above(xp, x, *, low: float = 0.0):
        return xp.maximum(x, low)
    del REGISTRY[held_above.name]
    assert (held_above.onnx, held_above.onnx_attrs) == ("Clip", {"low": "min"})
