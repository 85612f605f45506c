"""ONNX, both ways: `reading` opens a model as a graph, `writing` makes a model of one. The package `onnx` loads at use."""
