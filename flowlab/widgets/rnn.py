"""Look inside a recurrent layer: the loop, and its copies slid out over the timesteps; forward, and back through every use of its weights."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from ..apps import cells, characters as C, uses as U
from ..core.errors import FlowError
from ..core.graph import Node, Tensor
from . import protocol as P
from .looking import Reader, SequenceView, kind_of, named, page_of, round_limit, within

SHOWN = 128             # features and units of a timestep that the page is given; of more, every so-many-th
PAGE = 400_000          # numbers of a page of timesteps
CELLS = 48              # rows and columns of dW(t)
USES = 1_000_000        # numbers of dW(t) over time that are sent at once
COPIES = 12             # most copies side by side
QUICK = 2e8             # multiplications that are done unasked: below a second
LONG = 2e11             # … and those that are refused: minutes
SENTENCE = "Look at a shorter sequence, fewer samples or fewer units."


# ---------------------------------------------------------------- the layers of a run


def layers_of(run: Reader, node: Any = None) -> tuple[tuple[Node, ...], int]:
    """(every recurrent layer and scan that this run computed, in creation order; which of them is meant)."""
    every = [n for n in run.graph.nodes if n.op.name in U.RECURRENT and n.phase == "forward"]
    if not every:
        raise FlowError(f"graph {run.graph.name!r} has no recurrent layer.", hint='fl.nn.rnn(x, 32, name="rnn") makes one; fl.scan is a loop of your own.')
    there = tuple(n for n in every if _computed(run, n))
    return there, there.index(named(run, every, there, node, "recurrent layer", "recurrent layers", "no recurrent layer")[0])


def _computed(run: Reader, node: Node) -> bool:
    """Of a scan any output will do: what nobody asked for is not given out."""
    return any(run.value(t) is not None for t in node.outputs) and all(run.value(t) is not None for t in node.inputs)


# ---------------------------------------------------------------- the widget


class RNNView(SequenceView):
    """See a recurrent layer as the loop it is and as its copies over time: what each timestep reads and hands on, and how the error comes back.

    `source`: a trace, a session (its last trace), a debugger or an editor; it follows the last two by itself. `node`: an RNN, GRU, LSTM or scan, by its name or scope; without it the first one
    is on screen. `alphabet`: the characters that the network reads and guesses, in the order of its numbers. `beside`: what `fl.plots.context` draws too, the
    result of `flowlab.apps.characters.contexts`; or a text, and it is trained at the press of a button. `language`: `en`, `zh-CN` or `zh-TW`.

    `t` is the cursor, `k` how many copies are slid out (0: the loop alone), `unit` whose equation is written out; with `sample` they count from 0, `layer`
    from 1. All can be read and set. FlowError says what there is.

    >>> view = RNNView(sess.trace([loss], feeds), "rnn")            # doctest: +SKIP
    >>> view.k, view.t = 5, 17                                      # doctest: +SKIP
    >>> view.uses("loss").at("rnn/recurrent_kernel", 17)            # doctest: +SKIP
    """

    _esm, _script, _css = page_of("rnn")
    _alt, _named = "flowlab unrolled network", "an RNN view"
    k = traitlets.Int(0).tag(sync=True)

    def __init__(self, source: Any, node: Any = None, *, sample: int = 0, t: int = 0, k: int | None = None, unit: int = 0, alphabet: Sequence[str] | None = None,
                 beside: C.Contexts | str | None = None, title: str | None = None, language: str | None = None):
        self._look_into(source, title)
        self._nodes, index = layers_of(self._run, node)
        self._alphabet = alphabet
        if beside is not None and not isinstance(beside, (str, C.Contexts)):
            raise FlowError(f"beside is a text, or what characters.contexts gave, not {kind_of(beside)}.", hint="flowlab.apps.characters.contexts(text) trains both.")
        self._beside = beside
        self._known: dict[Any, Any] = {}
        self._page, self._text, self._context = 0, "", 0
        self._runs = 0              # how many were looked into
        super().__init__()
        self.layer = index + 1
        self._look()
        self._guesser()         # an alphabet that does not fit is said here, not when the page asks
        self.sample = sample
        self.t, self.unit = t, unit
        self.k = min(5, self._steps) if k is None else k
        self._open(language)

    def __repr__(self) -> str:
        return (f"RNN view of {self._node.name}: timestep {self.t} of {self._steps}, {self.k} {'copy' if self.k == 1 else 'copies'}, "
                f"unit {self.unit} of {self._units}, sample {self.sample} of {self._samples}")

    # ------------------------------------------------------------ where it stands

    @property
    def _steps(self) -> int:
        return self._look().timesteps

    @property
    def _units(self) -> int:
        return _flat(self._states()[0]).shape[2]

    @property
    def _samples(self) -> int:
        return _flat(self._states()[0]).shape[1]

    @traitlets.validate("t")
    def _check_t(self, proposal: Any) -> int:
        return within("timestep", proposal["value"], self._steps)

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> int:
        return within("unit", proposal["value"], self._units)

    @traitlets.validate("k")
    def _check_k(self, proposal: Any) -> int:
        most, value = min(COPIES, self._steps), proposal["value"]
        if not 0 <= value <= most:
            raise FlowError(f"{value} copies cannot be slid out.", hint=f"k goes from 0, the loop alone, to {most}.")
        return value

    @traitlets.observe("layer", "sample")
    def _moved(self, change: Any) -> None:
        if change["name"] == "layer":
            self._page = 0
            self.t, self.unit, self.k = min(self.t, self._steps - 1), min(self.unit, self._units - 1), min(self.k, self._steps)
        if not self._quiet:
            self._show()

    def _take(self, run: Reader) -> None:
        nodes, index = layers_of(run, self._node.name)
        before = self._run, self._nodes, self._known, self.layer
        self._run = self._now = run
        self._nodes, self._known = nodes, {}
        try:
            self.layer = index + 1
            self._look()
        except Exception:       # whatever it is, the run before is looked into as before
            self._run, self._nodes, self._known, self.layer = before
            self._now = self._run
            raise
        self._page, self._runs = 0, self._runs + 1
        self.t, self.k, self.sample, self.unit = min(self.t, self._steps - 1), min(self.k, self._steps), min(self.sample, self._samples - 1), min(self.unit, self._units - 1)

    def _shown(self) -> list[Tensor]:
        """What the layers read and give, computed or not; of what follows the one on screen, the scalars that an error may be of and what is guessed."""
        node, guesser = self._node, self._guesser()
        layers = [n for n in self._run.graph.nodes if n.op.name in U.RECURRENT and n.phase == "forward"]
        return [*(t for n in layers for t in (*n.inputs, *n.outputs)), *U.losses(node, lambda t: True), *([guesser.feed, guesser.guesses] if guesser is not None else ())]

    def _turned(self, t: int) -> int:
        """A place of the sequence for a timestep of the layer on screen, and the other way round."""
        node = self._node
        if node.op.name == "Scan" or not cells.reads_from_the_end(node):
            return t
        lengths = self._run.value(node.input("lengths")) if "lengths" in node.ports else None
        length = self._steps if lengths is None else int(lengths[self.sample])
        return length - 1 - t if t < length else t

    def _loop(self) -> Node | None:
        return self._node if self._node.op.name == "Scan" else None

    # ------------------------------------------------------------ the layer on screen

    def _look(self) -> U.Layer:
        key = ("layer", self._node)
        if key not in self._known:
            found = U.Layer(self._node, self._run.read)
            if not found.timesteps or not found.start or any(0 in s.shape for s in found.start):
                raise FlowError(f"{self._node.name} has {found.timesteps} timesteps and {len(found.start)} states: there is nothing to see.", node=self._node.name)
            self._known[key] = found
        return self._known[key]

    def _states(self) -> list[np.ndarray]:
        """Each state after every timestep, time first: what the run recorded, where it did."""
        key = ("states", self._node)
        if key not in self._known:
            node, found = self._node, []
            for name in self._look().step.state_names:
                port = {"h": "out", "c": "c"}.get(name) if node.op.name != "Scan" else None
                value = None if port is None else self._run.value(node.output(port))
                if value is None:
                    self._affordable("Its states", 4 * self._look().timesteps)
                    found.append(self._look().states()[name])
                else:
                    found.append(np.moveaxis(value, 1, 0))
            self._known[key] = found
        return self._known[key]

    def _affordable(self, what: str, more: float = 0.0) -> None:
        if self._cost() + more > LONG:
            raise FlowError(f"{what} of {self._node.name} would take minutes to work out.", node=self._node.name, hint=SENTENCE)

    def _cost(self) -> float:
        """About how many multiplications a way back through the layer takes."""
        layer = self._look()
        batch = layer.start[0].shape[0] if layer.start[0].ndim else 1
        numbers = sum(v.size for v in layer.weights().values())
        return 6.0 * layer.timesteps * (batch * numbers + 10_000)

    def _losses(self) -> list[Tensor]:
        if self._run.kept_back:     # what came back might tell what somebody is asked
            return []
        key = ("losses", self._node)
        if key not in self._known:
            fetched = [t for t in self._run.fetched if t.shape == () and t.dtype.kind == "f" and t.node.phase == "forward"]
            found = U.losses(self._node, lambda t: self._run.value(t) is not None)
            self._known[key] = [*(t for t in fetched if t in found), *(t for t in found if t not in fetched)][:12]
        return self._known[key]

    def uses(self, of: str | None = None) -> U.Uses:
        """Go backwards from a scalar of the run, its loss without one: what each timestep adds to the gradient of every weight of the layer on screen."""
        choices = self._losses()
        if not choices:
            raise FlowError(f"no scalar of this run comes after {self._node.name}.", node=self._node.name, hint=f"{self._run.way} A loss is one.")
        name = (of or choices[0].name).removesuffix(":0")
        tensor = next((t for t in choices if t.name.removesuffix(":0") == name), None)
        if tensor is None:
            raise FlowError(f"there is no gradient of {name!r} here.", hint=f"There are those of {', '.join(t.name.removesuffix(':0') for t in choices)}.")
        key = ("uses", self._node, tensor)
        if key not in self._known:
            self._affordable("The gradients of all uses")
            self._known[key] = U.weight_uses(tensor, self._node, self._run.read, self._look())
        return self._known[key]

    def _guesser(self) -> C.Guesser | None:
        if self._run.kept_back:     # its guesses would be the answer
            return None
        key = ("guesser", self._node)
        if key not in self._known:
            self._known[key] = C.guesser(self._node, self._run.read, self._alphabet)
        return self._known[key]

    # ------------------------------------------------------------ talking with the page

    def _asks(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "rnn_ask", "layer": int(layer), "sample": int(sample)}:
                self._go(layer + 1, sample, content.get("t", 0))
            case {"type": "rnn_unit_ask", "unit": int(unit)}:
                self._tell(*self._unit(within("unit", unit, self._units)))
            case {"type": "rnn_uses_ask", "of": str(of), "weight": str(weight), "t": int(t)}:
                self._tell(*self._uses(of, weight, t))
            case {"type": "rnn_guess_ask", "text": str(text), "context": int(context)}:
                self._tell(self.guess(text, context))
                self._text, self._context = text, context
            case {"type": "rnn_compare"}:
                self.compare()
            case _:
                super()._asks(content)

    def _go(self, layer: int, sample: int, t: int) -> None:
        """Another layer, sample or page: all, or nothing."""
        before = self.layer, self.sample, self.t, self.unit, self.k
        self._quiet = True
        try:
            self.layer = layer
            self._look()
            self.sample = sample
            self._page = within("timestep", t, self._steps)
        except Exception:       # whatever it is
            self.layer, self.sample, self.t, self.unit, self.k = before
            raise
        finally:
            self._quiet = False
        self._show()
        self._pointed()

    def _show(self) -> None:
        """Send the layer, sample and page on screen, the equation of its unit, and what the network guesses."""
        self._tell(*self._message())
        self._tell(*self._unit(self.unit))
        if self._guesser() is not None:
            self._tell(self.guess(self._text, self._context))

    def _range(self) -> tuple[int, int]:
        """The page of timesteps that is sent: (its first, how many)."""
        shown = sum(min(SHOWN, _flat(s).shape[2]) for s in self._states()) + min(SHOWN, _flat(self._look().x).shape[2])
        count = min(self._steps, max(COPIES * 4, PAGE // max(1, shown)))
        return max(0, min(self._page - count // 2, self._steps - count)) if count < self._steps else 0, count

    def _message(self) -> tuple[P.RNNData, list[np.ndarray]]:
        node, layer, s = self._node, self._look(), self.sample
        start, count = self._range()
        page = slice(start, start + count)
        x = _flat(layer.x)
        states = [_flat(v) for v in self._states()]
        x_step, unit_step = _every(x.shape[2]), _every(states[0].shape[2])
        seen = x[page, min(s, x.shape[1] - 1), ::x_step]
        finite = seen[np.isfinite(seen)]
        weights = layer.weights()
        readers = [n for n in self._run.graph.nodes if n.phase == "forward"]
        finals = set(node.outputs[len(node.attrs["out_axes"]):len(node.attrs["out_axes"]) + node.attrs["states"]]) if node.op.name == "Scan" \
            else {node.output(p) for p in U.CARRIED.values() if p in node.output_names}
        guesser = self._guesser()
        data = P.RNNData(
            title=self._title, layer=self.layer - 1, layers=[self._described(n) for n in self._nodes], sample=s, samples=self._samples, run=self._runs,
            source=node.inputs[0].name.removesuffix(":0"), states=list(layer.step.state_names), reverse=layer.reverse, start=start, count=count,
            features_step=x_step, units_step=unit_step, x_limit=round_limit(seen), x_signed=bool(finite.size and finite.min() < 0),
            limits=[round_limit(v[page, s]) for v in states],
            variables=[P.RNNVariable(name=n, shape=list(v.shape), numbers=v.size) for n, v in weights.items()], numbers=sum(v.size for v in weights.values()),
            each=[n.name for n in readers if any(t.node is node and t not in finals for t in n.inputs)][:6], last=[n.name for n in readers if any(t in finals for t in n.inputs)][:6],
            losses=[t.name.removesuffix(":0") for t in self._losses()], automatic=bool(self._losses() and weights) and self._cost() < QUICK,
            symbols=[guesser.symbols[k] for k in guesser.recorded[s, page]] if guesser is not None and guesser.recorded.shape == (self._samples, self._steps) else [],
            guesses=guesser is not None, beside=self._rows(), compares=isinstance(self._beside, str))
        buffers = [seen]
        for k, values in enumerate(states):
            buffers.append(values[page, s, ::unit_step])
            first = start + count if layer.reverse else start - 1
            found = values[first, s] if 0 <= first < self._steps else _flat(np.asarray(layer.start[k])[None])[0, s]
            buffers.append(found[::unit_step])
        return data, buffers

    def _described(self, node: Node) -> P.RNNLayer:
        x = self._run.value(node.inputs[0])
        axis = node.attrs["axes"][0] if node.op.name == "Scan" else 1
        state = self._run.value(node.inputs[len(node.attrs["axes"])]) if node.op.name == "Scan" and node.attrs["states"] else None
        units = self._run.value(node.input("recurrent_kernel")).shape[0] if node.op.name != "Scan" else 1 if state is None or state.ndim < 2 else int(np.prod(state.shape[1:]))
        each = np.moveaxis(x, axis, 0)[:1] if x.ndim else x
        return P.RNNLayer(node=node.name, op=node.op.name, units=units, features=1 if each.ndim < 3 else int(np.prod(each.shape[2:])), timesteps=x.shape[axis],
                          batch=1 if each.ndim < 2 else each.shape[1])

    def _unit(self, unit: int) -> tuple[P.RNNUnit, list[np.ndarray]]:
        """The terms that a unit's value is made of, at each timestep of the page."""
        start, count = self._range()
        page, s = slice(start, start + count), self.sample
        if self._node.op.name == "Scan":
            form, named = self._body(unit)
        else:
            form, named = self._node.op.name, U.terms(self._look(), self._states(), unit, s, page, self._run.value)
        after = [_flat(v)[page, s, unit] for v in self._states()]
        named |= dict(zip((f"{n} after" for n in self._look().step.state_names), after))
        return P.RNNUnit(unit=unit, form=form, terms=list(named)), list(named.values())

    def _body(self, unit: int) -> tuple[str, dict[str, np.ndarray]]:
        """What the operation that gives a scan's first state was given, for one unit: where each of its inputs has a number a unit."""
        layer, (start, count) = self._look(), self._range()
        op = layer.step.new[0].node
        key = ("body", self._node)
        if key not in self._known:
            self._affordable("Its equation", 4 * layer.timesteps)
            self._known[key] = layer.fetch(list(op.inputs)) if op.inputs else []
        found = {}
        shape = self._states()[0].shape
        for tensor, values in zip(op.inputs, self._known[key]):
            if values.ndim <= len(shape) and values.size:
                found[tensor.node.name.rpartition("/")[2] or tensor.name] = _flat(np.broadcast_to(values, shape) if values.shape != shape else values)[start:start + count, self.sample, unit]
            else:
                return op.op.name, {}
        return op.op.name, found

    def _uses(self, of: str, weight: str, t: int) -> tuple[P.RNNUses, list[np.ndarray]]:
        found, s = self.uses(of or None), self.sample
        name = found.named(weight or None)
        total = _matrix(found.totals[name])
        steps = [max(1, -(-n // CELLS)) for n in total.shape]
        shown = total[::steps[0], ::steps[1]]
        count = min(self._steps, max(COPIES, USES // max(1, shown.size)))
        start = max(0, min(within("timestep", t, self._steps) - count // 2, self._steps - count))
        each = np.stack([_matrix(found.at(name, k))[::steps[0], ::steps[1]] for k in range(start, start + count)])
        row = min(s, found.error.shape[1] - 1)
        message = P.RNNUses(of=found.of, weight=name, weights=list(found.totals), rows=shown.shape[0], cols=shown.shape[1], row_step=steps[0], col_step=steps[1], start=start, count=count,
                            limit=round_limit(total), each_limit=round_limit(each))
        apart = found.apart(name)
        sizes = np.array([np.sqrt(np.sum(np.square(total, dtype="float64"))), -1.0 if apart is None else apart])
        return message, [found.along[name], found.norms[name], found.error[:, row], found.direct[:, row], found.later[:, row], sizes, shown, each]

    # ------------------------------------------------------------ characters

    def guess(self, text: str = "", context: int = 0) -> P.RNNGuesses:
        """The five likeliest characters after each one of a text, or of what the run read; each from the last `context` alone, 0: from all before."""
        guesser = self._guesser()
        if guesser is None:
            raise FlowError(f"{self._node.name} reads no characters.", node=self._node.name, hint="Give alphabet=, a character for each number that the network reads.")
        if context < 0:
            raise FlowError(f"a context of {context} is none.", hint="Give 1 or more, or 0 for all before.")
        ids = guesser.ids(text) if text else guesser.recorded[min(self.sample, len(guesser.recorded) - 1)][:C.MOST]
        shares = guesser.probabilities(ids, context or None)
        best = np.argsort(-np.nan_to_num(shares, nan=-1.0), axis=1, kind="stable")[:, :5]
        return P.RNNGuesses(text=[guesser.symbols[k] for k in ids], typed=bool(text), context=context, top=[[guesser.symbols[k] for k in row] for row in best],
                            shares=[[float(shares[i, k]) if np.isfinite(shares[i, k]) else None for k in row] for i, row in enumerate(best)])

    def compare(self) -> C.Contexts:
        """Train a recurrent network and a feed-forward one with as many numbers to learn on the text that was given as `beside`: a few seconds."""
        if self._beside is None:
            raise FlowError("there is no text to train on.", hint='RNNView(…, beside="你好世界" * 60)')
        if isinstance(self._beside, str):
            self._beside = C.contexts(self._beside)
            self._show()
        return self._beside

    def _rows(self) -> list[P.RNNContext]:
        rows = self._beside.rows if isinstance(self._beside, C.Contexts) else ()
        return [P.RNNContext(**{name: getattr(r, name) for name in r.__dataclass_fields__}) for r in rows]


def _flat(values: np.ndarray) -> np.ndarray:
    """(time, batch, numbers), whatever a state looks like; one without a batch is a batch of one."""
    return values.reshape(values.shape[0], values.shape[1] if values.ndim > 1 else 1, -1)


def _matrix(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, -1) if values.ndim < 2 else values.reshape(values.shape[0], -1)


def _every(size: int) -> int:
    return max(1, -(-size // SHOWN))
