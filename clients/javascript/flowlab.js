// Graph files of flowlab in JavaScript: make a graph, write it, read one. No dependency; for browsers, Node, Deno and Bun alike.
//
//   import { Graph } from "./flowlab.js";
//   const g = new Graph("line");
//   const x = g.placeholder(["batch", 3], { name: "x" });
//   const w = g.variable([3, 1], { name: "w", initializer: "glorot_uniform" });
//   g.fetch(g.add("MatMul", { a: x, b: w }, {}, { name: "y" }));
//   const text = g.text();                       // for a file "line.flow.json", which fl.load reads
//   const again = Graph.read(text);              // again.node("y").inputs → { a: "x:0", b: "w:0" }
//
// A tensor is a text, "x:0": the name of a node and the number of an output. What an operation takes is in its docstring in Python; whether wires fit is
// said there too, by fl.load. The format is published as a JSON Schema, flowlab/io/flow.schema.json.

export const VERSION = 4; // of the format, the newest that is read
const INLINE = 64; // arrays up to this many elements are written as numbers that people can read
const EXACT = 2 ** 53;

export const TYPES = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, int64: BigInt64Array, int32: Int32Array, int16: Int16Array, int8: Int8Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, bool: Uint8Array,
};

/** What is wrong with a graph or a file; `node` says where, if it is about one. */
export class GraphError extends Error {
  constructor(message, node) {
    super(message);
    this.name = "GraphError";
    this.node = node;
  }
}

/** An array of a graph: `data` is a typed array (of float16 its bits, of bool 0 and 1), in row-major order. */
export class NDArray {
  constructor(dtype, shape, data) {
    const Kind = TYPES[dtype];
    if (!Kind) throw new GraphError(`${JSON.stringify(dtype)} is not a dtype of flowlab: use one of ${Object.keys(TYPES).join(", ")}.`);
    const count = shape.reduce((n, d) => n * d, 1);
    const flat = Kind.from(dtype.endsWith("int64") ? Array.from(data, BigInt) : Array.from(data, dtype === "bool" ? (v) => (v ? 1 : 0) : undefined));
    if (flat.length !== count) throw new GraphError(`${flat.length} numbers do not fill ${dtype} (${shape.join(", ")}).`);
    Object.assign(this, { dtype, shape: [...shape], data: flat });
  }

  /** The array of nested lists of numbers: all rows as long. */
  static of(values, dtype = "float32") {
    const shape = [];
    for (let row = values; Array.isArray(row); row = row[0]) shape.push(row.length);
    const flat = [];
    const walk = (row, depth) => {
      if (depth === shape.length) {
        if (Array.isArray(row)) throw new GraphError("the rows are not all as long.");
        flat.push(row);
      } else if (!Array.isArray(row) || row.length !== shape[depth]) throw new GraphError("the rows are not all as long.");
      else for (const part of row) walk(part, depth + 1);
    };
    walk(values, 0);
    if (dtype === "float16") throw new GraphError("JavaScript writes no float16: use float32.");
    return new NDArray(dtype, shape, flat);
  }

  toJSON() {
    const { dtype, shape, data } = this;
    const numbers = dtype === "bool" ? Array.from(data, Boolean) : Array.from(data, Number);
    const plain = dtype !== "float16" && data.length <= INLINE && numbers.every((v) => typeof v === "boolean" || (Number.isFinite(v) && Math.abs(v) < EXACT && !Object.is(v, -0)));
    return { dtype, shape, data: plain ? nested(numbers, shape) : toBase64(new Uint8Array(littleEndian(data))) };
  }

  static fromJSON({ dtype, shape, data }) {
    const Kind = Object.hasOwn(TYPES, dtype) && TYPES[dtype];
    if (!Kind || !Array.isArray(shape) || !shape.every((d) => Number.isInteger(d) && d >= 0) || !(typeof data === "string" || !shape.length || Array.isArray(data)))
      throw new GraphError("this is not an array: arrays are {dtype, shape, data}.");
    if (typeof data !== "string") {
      const flat = shape.length ? data.flat(shape.length) : [data];
      if (!flat.every((v) => typeof v === "number" || typeof v === "boolean") || (dtype.endsWith("int64") && !flat.every((v) => Number.isInteger(Number(v))))) throw new GraphError(`these are no numbers of ${dtype}.`);
      return new NDArray(dtype, shape, flat);
    }
    const bytes = fromBase64(data);
    if (bytes.length !== shape.reduce((n, d) => n * d, 1) * Kind.BYTES_PER_ELEMENT) throw new GraphError(`${bytes.length} bytes do not fill ${dtype} (${shape.join(", ")}).`);
    const made = new NDArray(dtype, [0], []);
    return Object.assign(made, { shape: [...shape], data: new Kind(littleEndian(new Kind(bytes.buffer))) });
  }
}

/** A dataflow graph: nodes in order of creation, under unique names. */
export class Graph {
  #next = 0; // the id of the next node

  constructor(name = "untitled") {
    this.name = name;
    this.nodes = new Map();
    this.version = 1; // that which the file says: what this client makes anew every flowlab reads
    this.rest = {}; // layout, notes and the like, kept as they were read
    this.fetches = [];
  }

  node(name) {
    const found = this.nodes.get(name);
    if (!found) throw new GraphError(`there is no node ${JSON.stringify(name)}.`);
    return found;
  }

  /** Add a node; returns its first output, "y:0". `inputs`: port → tensor; `control`: names of nodes that fire before it. */
  add(op, inputs = {}, attrs = {}, { name, control = [], device } = {}) {
    const full = name ?? this.#unique(op);
    checkName(full);
    if (this.nodes.has(full)) throw new GraphError(`the name ${JSON.stringify(full)} is taken.`, full);
    for (const tensor of Object.values(inputs)) this.#checkTensor(tensor, full);
    for (const before of control) this.node(before);
    this.nodes.set(full, { id: this.#next++, name: full, op, attrs, inputs: { ...inputs }, control: [...control], ...(device ? { device } : {}) });
    return `${full}:0`;
  }

  /** A value that is fed: `shape` holds sizes, names of unknown ones ("batch"), or null. */
  placeholder(shape, { dtype = "float32", name } = {}) {
    return this.add("Placeholder", {}, { shape, dtype }, { name });
  }

  /** A fixed array: an NDArray, a number or nested lists. */
  constant(value, { dtype, name } = {}) {
    return this.add("Constant", {}, { value: value instanceof NDArray ? value : NDArray.of(value, dtype) }, { name });
  }

  /** A value that is kept from run to run, and learnt: it starts from an initializer's numbers, or from an NDArray. */
  variable(shape, { dtype = "float32", name, initializer = "zeros", value = null, trainable = true } = {}) {
    return this.add("Variable", {}, { shape, dtype, initializer: value ? "constant" : initializer, value, trainable }, { name });
  }

  /** Mark what is to be computed when the graph is run in the lab. */
  fetch(...tensors) {
    for (const t of tensors) this.fetches.push(this.node(t.replace(/:\d+$/, "")).name);
    return this;
  }

  toJSON() {
    const nodes = Array.from(this.nodes.values(), ({ id, name, op, attrs, inputs, control, ...rest }) => ({
      id, name, op,
      ...(Object.keys(attrs).length ? { attrs: Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, encode(v)])) } : {}),
      ...(Object.keys(inputs).length ? { inputs } : {}),
      ...(control.length ? { control } : {}),
      ...rest,
    }));
    return { flowlab: this.version, name: this.name, nodes, ...this.rest, ...(this.fetches.length ? { fetches: [...new Set(this.fetches)] } : {}) };
  }

  /** The text of a graph file. */
  text() {
    return JSON.stringify(this.toJSON(), null, 1) + "\n";
  }

  /** The graph in the text of a file; GraphError for what is none, or is newer than this. */
  static read(text) {
    let data;
    try {
      data = JSON.parse(text);
    } catch (error) {
      throw new GraphError(`this is not JSON: ${error.message}.`);
    }
    if (data === null || typeof data !== "object" || !("flowlab" in data)) throw new GraphError('this is not a flowlab document: it starts with {"flowlab": 1, …}.');
    if (!Number.isInteger(data.flowlab) || data.flowlab < 1 || data.flowlab > VERSION) throw new GraphError(`this document has version ${data.flowlab}, and this client reads 1 to ${VERSION}.`);
    const { flowlab, name = "untitled", nodes = [], fetches = [], ...rest } = data;
    const made = new Graph(name);
    Object.assign(made, { version: flowlab, rest, fetches });
    if (!Array.isArray(nodes)) throw new GraphError("nodes is not a list.");
    for (const node of nodes) {
      const { id, name, op, attrs = {}, inputs = {}, control = [], ...more } = node ?? {};
      if (!Number.isInteger(id) || typeof name !== "string" || typeof op !== "string") throw new GraphError("a node has no id, name or op.", name);
      if (![attrs, inputs].every((v) => v !== null && typeof v === "object") || !Array.isArray(control)) throw new GraphError(`${name}: attrs and inputs are objects, control is a list.`, name);
      if (made.nodes.has(name)) throw new GraphError(`two nodes are named ${JSON.stringify(name)}.`, name);
      made.nodes.set(name, { id, name, op, attrs: Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, decode(v)])), inputs, control, ...more });
      made.#next = Math.max(made.#next, id + 1);
    }
    for (const node of made.nodes.values()) for (const tensor of Object.values(node.inputs)) made.#checkTensor(tensor, node.name);
    return made;
  }

  #unique(op) {
    for (let k = 0; ; k++) {
      const name = k ? `${op}_${k}` : op;
      if (!this.nodes.has(name)) return name;
    }
  }

  #checkTensor(tensor, where) {
    const [, name] = /^(.+):(?:0|[1-9]\d{0,3})$/.exec(tensor) ?? [];
    if (name === undefined) throw new GraphError(`${where}: ${JSON.stringify(tensor)} is not an output such as "x:0".`, where);
    if (!this.nodes.has(name)) throw new GraphError(`${where}: there is no node ${JSON.stringify(name)} to wire from.`, where);
  }
}

function checkName(name) {
  for (const part of String(name).split("/"))
    if (!part || part.length > 200 || part !== part.trim() || /[:^]|->/.test(part)) throw new GraphError(`${JSON.stringify(name)} cannot be a name.`, name);
}

// Values of attributes: numbers, texts, lists, arrays; what is inside a loop stays as it was read.

function encode(value) {
  if (typeof value === "number" && !Number.isFinite(value)) return { float: Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf" };
  return value instanceof NDArray ? value.toJSON() : Array.isArray(value) ? value.map(encode) : value;
}

function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value === null || typeof value !== "object") return value;
  if ("float" in value) {
    if (!["inf", "-inf", "nan"].includes(value.float)) throw new GraphError(`${JSON.stringify(value)} is no number: {"float": …} holds "inf", "-inf" or "nan".`);
    return Number(value.float.replace("inf", "Infinity").replace("nan", "NaN"));
  }
  return "dtype" in value ? NDArray.fromJSON(value) : value;
}

function nested(flat, shape) {
  if (!shape.length) return flat[0];
  const step = shape.slice(1).reduce((n, d) => n * d, 1);
  return Array.from({ length: shape[0] }, (_, k) => nested(flat.slice(k * step, (k + 1) * step), shape.slice(1)));
}

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The bytes of a typed array, the lowest of each number first; from those bytes, the numbers. */
function littleEndian(data) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  if (!LITTLE) for (let k = 0; k < bytes.length; k += data.BYTES_PER_ELEMENT) bytes.subarray(k, k + data.BYTES_PER_ELEMENT).reverse();
  return bytes.buffer;
}

function toBase64(bytes) {
  let text = "";
  for (let k = 0; k < bytes.length; k += 0x8000) text += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
  return btoa(text);
}

function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new GraphError("the data is not base64.");
  }
}
