"""What the LSTM view shows beside torch on the same weights: every gate and state of nn.LSTM, nn.GRU and nn.RNN, several layers, both directions, sequences of several lengths, and the gradients.

    python tests/benchmarks/torch_gates.py

Prints the largest difference of each letter, absolute, over all layers, directions, samples, timesteps and units, and stops with an error where one is larger than it may be.
Whole modules of torch give the outputs, last states and gradients; its cells, stepped one by one with the same weights, the states in between; what torch keeps to itself, the gates, is
worked out by torch from those states. Torch comes with the `bench` extra.
"""
from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import linear

import flowlab as fl
from flowlab.apps import cells

BATCH, TIME, FEATURES, UNITS, LAYERS = 5, 23, 7, 11, 3
BOUNDS = {"float32": 1e-6, "float64": 1e-14}
LAYER = {"LSTM": fl.nn.lstm, "GRU": fl.nn.gru, "RNN": fl.nn.rnn}


def weights(module: torch.nn.Module, layer: int, end: str) -> list[torch.Tensor]:
    """(input-hidden, hidden-hidden, their biases) of one direction of one layer."""
    return [getattr(module, f"{name}_l{layer}{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def copied(session: fl.Session, module: torch.nn.Module, both: bool) -> None:
    """Give the session torch's weights: matrices the other way round; where flowlab has one bias, torch's two as their sum."""
    for layer in range(LAYERS):
        for end, scope in (("", f"r/layer_{layer}" + ("/forward" if both else "")), *((("_reverse", f"r/layer_{layer}/backward"),) if both else ())):
            w, u, b, c = (p.detach().numpy() for p in weights(module, layer, end))
            session.variables[f"{scope}/kernel"], session.variables[f"{scope}/recurrent_kernel"] = w.T, u.T
            gru = f"{scope}/recurrent_bias" in session.variables
            session.variables[f"{scope}/bias"] = b if gru else b + c
            if gru:
                session.variables[f"{scope}/recurrent_bias"] = c


def stepped(kind: str, parameters: list[torch.Tensor], x: torch.Tensor, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Every gate and state of one direction of one layer, timestep by timestep: letter → (batch, time, units), zeros beyond a length."""
    w, u, b, c = parameters
    cell = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell, "RNN": torch.nn.RNNCell}[kind](x.shape[2], UNITS, dtype=x.dtype)
    for own, given in zip((cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), parameters):
        own.data = given.detach()
    h = torch.zeros(BATCH, UNITS, dtype=x.dtype)
    memory, found = h, {}
    for t in range(TIME):
        by_input, by_state = linear(x[:, t], w, b), linear(h, u, c)
        if kind == "LSTM":
            i, f, g, o = (by_input + by_state).chunk(4, dim=1)
            gates = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
            h, memory = cell(x[:, t], (h, memory))
            gates |= {"c": memory, "h": h}
        elif kind == "GRU":
            (r, z, n), (hr, hz, hn) = by_input.chunk(3, dim=1), by_state.chunk(3, dim=1)
            gates = {"r": (r + hr).sigmoid(), "z": (z + hz).sigmoid()}
            gates["n"] = (n + gates["r"] * hn).tanh()
            gates["h"] = h = cell(x[:, t], h)
        else:
            gates = {"h": (h := cell(x[:, t], h))}
        for letter, value in gates.items():
            found.setdefault(letter, []).append(value.detach().numpy())
    read = np.arange(TIME) < lengths[:, None]
    return {letter: np.where(read[..., None], np.stack(values, axis=1), 0) for letter, values in found.items()}


def turned(x: torch.Tensor, lengths: np.ndarray) -> torch.Tensor:
    """Each sequence from its end to its start."""
    return torch.stack([torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(x, lengths)])


def compared(kind: str, both: bool, dtype: str, ragged: bool) -> dict[str, float]:
    """The largest difference of every letter, of what the whole module gives, and of the gradients."""
    torch.manual_seed(len(kind) + both)
    rng = np.random.default_rng(4)
    lengths = rng.integers(1, TIME + 1, BATCH) if ragged else np.full(BATCH, TIME)
    module = getattr(torch.nn, kind)(FEATURES, UNITS, num_layers=LAYERS, bidirectional=both, batch_first=True, dtype=getattr(torch, dtype))
    data = rng.normal(size=(BATCH, TIME, FEATURES)).astype(dtype)
    with fl.Graph() as g:
        x, n = fl.placeholder((BATCH, TIME, FEATURES), dtype, name="x"), fl.placeholder((BATCH,), "int64", name="n")
        out, last = LAYER[kind](x, UNITS, layers=LAYERS, bidirectional=both, lengths=n if ragged else None, name="r")
        loss = fl.sum(fl.square(out), name="loss")
        by_x, *by = fl.gradients(loss, [x, *g.trainable_variables])
    session = fl.Session(g)
    copied(session, module, both)
    names = [v.node.name for v in g.trainable_variables]
    last = last if isinstance(last, tuple) else (last,)
    trace = session.trace([out, list(last), by_x, by], {x: data} | ({n: lengths} if ragged else {}))
    ours, states, ours_by_x, ours_by = trace.results

    # the whole module
    fed = torch.tensor(data, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(fed, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    theirs, end = module(packed)
    theirs, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs, batch_first=True, total_length=TIME)
    theirs.square().sum().backward()
    apart: dict[str, float] = {}

    def differ(name: str, a: np.ndarray, b: np.ndarray, size: float = 1.0) -> None:
        assert a.shape == b.shape, (name, a.shape, b.shape)
        apart[name] = max(apart.get(name, 0.0), float(np.abs(a - b).max()) / size)
    differ("out", ours, theirs.detach().numpy())
    for state, name, value in zip(end if isinstance(end, tuple) else (end,), ("h_n", "c_n"), states):
        differ(name, value, state.detach().numpy())
    differ("gradients", ours_by_x, fed.grad.numpy(), float(np.abs(ours_by_x).max()))
    for name, value in zip(names, ours_by):
        _, layer, *_, part = name.split("/")
        w, u, b, c = (p.grad.numpy() for p in weights(module, int(layer.removeprefix("layer_")), "_reverse" if "/backward/" in name else ""))
        differ("gradients", value, {"kernel": w.T, "recurrent_kernel": u.T, "bias": b, "recurrent_bias": c}[part], float(np.abs(value).max()))

    # every layer and direction, as the LSTM view reads them
    below = torch.tensor(data)
    for layer in range(LAYERS):
        directions = []
        for k, end_ in enumerate(("", "_reverse")[:1 + both]):
            node = g.node(f"r/layer_{layer}" + ("/backward" if k else "/forward" if both else ""))
            reads = turned(below, lengths) if k else below
            found = stepped(kind, weights(module, layer, end_), reads, lengths)
            shown = cells.layer_values(trace.value, node).out
            assert set(found) == set(shown)
            read = (np.arange(TIME) < lengths[:, None])[..., None]
            for letter, value in found.items():
                differ(letter, np.where(read, shown[letter], 0), value)
            hidden = torch.tensor(found["h"])
            directions.append(turned(hidden, lengths) if k else hidden)
        below = torch.cat(directions, dim=2)
    differ("out", below.numpy(), theirs.detach().numpy())       # the cells with these weights are the module
    return apart


def main() -> None:
    print(f"torch {torch.__version__}, NumPy {np.__version__}: {LAYERS} layers, {BATCH} samples, {TIME} timesteps, {UNITS} units; the largest differences, of gradients as a share of the largest")
    for dtype, bound in BOUNDS.items():
        for kind in LAYER:
            for both in (False, True):
                for ragged in (False, True):
                    apart = compared(kind, both, dtype, ragged)
                    print(f"{dtype} {kind:4} {'both directions' if both else 'one direction':15} {'several lengths' if ragged else 'one length':15} " + "  ".join(f"{k} {v:.1e}" for k, v in apart.items()))
                    assert max(apart.values()) <= bound, f"{kind} is further from torch than {bound}"


if __name__ == "__main__":
    main()
