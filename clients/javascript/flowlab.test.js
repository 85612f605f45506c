import assert from "node:assert/strict";
import { test } from "node:test";

import { Graph, GraphError, NDArray } from "./flowlab.js";

function line() {
  const g = new Graph("line");
  const x = g.placeholder(["batch", 3], { name: "x" });
  const w = g.variable([3, 1], { name: "w", value: NDArray.of([[1], [2], [3]]) });
  g.fetch(g.add("MatMul", { a: x, b: w }, {}, { name: "y" }));
  return g;
}

test("a graph comes back from its text", () => {
  const g = line();
  const again = Graph.read(g.text());
  assert.deepEqual(again.toJSON(), JSON.parse(g.text()));
  assert.deepEqual(again.node("y").inputs, { a: "x:0", b: "w:0" });
  assert.deepEqual([...again.node("w").attrs.value.data], [1, 2, 3]);
});

test("unnamed nodes take their type, then _1", () => {
  const g = new Graph();
  const x = g.placeholder([2]);
  assert.deepEqual([g.add("Tanh", { x }), g.add("Tanh", { x }), g.constant(1)], ["Tanh:0", "Tanh_1:0", "Constant:0"]);
});

test("arrays keep every bit, as numbers or as bytes", () => {
  const large = Float32Array.from({ length: 100 }, (_, k) => Math.fround(k / 3));
  for (const a of [new NDArray("float32", [10, 10], large), new NDArray("int64", [2], [2n ** 62n, -1n]), new NDArray("float64", [3], [NaN, Infinity, -0]), new NDArray("bool", [2], [true, false]), new NDArray("float32", [0, 3], [])]) {
    const text = JSON.stringify(a);
    const back = NDArray.fromJSON(JSON.parse(text));
    assert.deepEqual(back, a);
    assert.ok(text.includes('"data":"') === (a.data.length > 64 || a.dtype === "int64" || a.dtype === "float64"));
  }
});

test("numbers that JSON lacks go as texts", () => {
  const g = new Graph();
  g.add("Clip", { x: g.placeholder([2], { name: "x" }) }, { min: -Infinity, max: 2 }, { name: "y" });
  assert.deepEqual(JSON.parse(g.text()).nodes[1].attrs, { min: { float: "-inf" }, max: 2 });
  assert.equal(Graph.read(g.text()).node("y").attrs.min, -Infinity);
});

test("a large graph is made and read as fast as a small one", () => {
  const [g, start] = [new Graph(), performance.now()];
  let last = g.placeholder([1], { name: "x" });
  for (let k = 0; k < 2e5; k++) last = g.add("Tanh", { x: last }, {}, { name: `n${k}` });
  const again = Graph.read(g.text());
  assert.equal(again.node("n199999").id, 200000);
  again.add("Tanh", { x: last }, {}, { name: "next" });
  assert.equal(again.node("next").id, 200001);
  assert.ok(performance.now() - start < 20000);
});

const holding = (value) => JSON.stringify({ flowlab: 1, name: "g", nodes: [{ id: 0, name: "x", op: "Placeholder", attrs: { shape: value } }] });

test("what is wrong is told of", () => {
  const g = line();
  for (const [why, f] of [
    [/name "x" is taken/, () => g.placeholder([1], { name: "x" })],
    [/no node "nobody" to wire from/, () => g.add("Tanh", { x: "nobody:0" })],
    [/not an output such as "x:0"/, () => g.add("Tanh", { x: "x" })],
    [/cannot be a name/, () => g.add("Tanh", { x: "x:0" }, {}, { name: "a:b" })],
    [/rows are not all as long/, () => NDArray.of([[1], [2, 3]])],
    [/not JSON/, () => Graph.read("{")],
    [/not a flowlab document/, () => Graph.read("[]")],
    [/version 99/, () => Graph.read('{"flowlab": 99}')],
    [/bytes do not fill/, () => NDArray.fromJSON({ dtype: "float32", shape: [3], data: "AAAA" })],
    [/\{"float":1\} is no number/, () => Graph.read(holding({ float: 1 }))],
    [/\{"float":"infinite"\} is no number/, () => Graph.read(holding([{ float: "infinite" }]))],
    [/not an array/, () => Graph.read(holding({ dtype: "constructor", shape: [], data: 1 }))],
    [/not an array/, () => Graph.read(holding({ dtype: "float32", shape: [2], data: 5 }))],
    [/no numbers of int64/, () => Graph.read(holding({ dtype: "int64", shape: [1], data: [1.5] }))],
    [/attrs and inputs are objects/, () => Graph.read('{"flowlab": 1, "nodes": [{"id": 0, "name": "x", "op": "Placeholder", "attrs": null}]}')],
    [/no id, name or op/, () => Graph.read('{"flowlab": 1, "nodes": [null]}')],
    [/not base64/, () => NDArray.fromJSON({ dtype: "float32", shape: [1], data: "!" })],
  ]) assert.throws(f, (error) => error instanceof GraphError && why.test(error.message), String(why));
});
