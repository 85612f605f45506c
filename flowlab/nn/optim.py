"""Optimizers: they extend the graph with the nodes of one training step."""
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ..autodiff import gradients
from ..core.errors import AttributeValueError, GradientError, no_attribute as _no_attribute
from ..core.graph import Graph, Node, Tensor
from ..ops.array import cast, where
from ..ops.math import add, cos, divide, exp, floor, less, maximum, minimum, multiply, power, sqrt, square, subtract
from ..ops.optimize import adam_update, sgd_update
from ..ops.reduce import sum_
from ..ops.state import assign, constant, group, variable
from . import init

Schedule = Callable[[Tensor], Tensor]  # step (float32 scalar, 0 at the first) → learning rate


class Optimizer(ABC):
    """Turns gradients into a node that, when it is run, moves the variables one step.

    `learning_rate`: a number, or a schedule such as `one_cycle(5e-3, 3000)`. `clip_norm`: the gradients, taken as one long vector, are scaled
    down to this length when they are longer.
    """

    scope = "optimizer"

    def __init__(self, learning_rate: float | Schedule, *, clip_norm: float | None = None):
        if not callable(learning_rate) and not (isinstance(learning_rate, (int, float)) and 0 <= learning_rate < math.inf):
            raise AttributeValueError(f"the learning rate is {learning_rate!r}.", port="learning_rate", hint="Use a number such as 1e-3, or a schedule.")
        if clip_norm is not None and not clip_norm > 0:
            raise AttributeValueError(f"clip_norm is {clip_norm!r}.", port="clip_norm", hint="Use a number above 0, or None.")
        self.learning_rate, self.clip_norm = learning_rate, clip_norm

    def minimize(self, loss: Tensor, variables: Sequence[Tensor] | None = None, name: str = "train") -> Node:
        """Add gradients of `loss` and one update of every variable; run the node returned to take the step.

        The gradients stand in scope `gradients`, the update in a scope of the optimizer's name; `loss` must be a scalar.
        """
        if not isinstance(loss, Tensor):
            raise GradientError(f"{loss!r} is not a tensor.", hint="Pass the tensor of the loss.")
        graph = loss.graph
        if loss.rank:
            raise GradientError(f"{loss.name} has shape {loss.shape}: only a scalar can be minimized.", node=loss.node.name, hint="Use fl.mean(loss).")
        targets = graph.trainable_variables if variables is None else list(variables)
        if variables is None:  # what the loss does not depend on has nothing to learn from it
            above = _above(loss.node)
            targets = [v for v in targets if v.node.id in above]
        if not targets:
            raise GradientError(f"{loss.name} depends on no trainable variable.", node=loss.node.name, hint="Make one with fl.variable.")
        graph.claim(name)
        grads = gradients(loss, targets)
        return self.apply(list(zip(grads, targets)), name=name)

    def apply(self, pairs: Sequence[tuple[Tensor, Tensor]], name: str = "train") -> Node:
        """Add the update for (gradient, variable) pairs."""
        if not pairs:
            raise GradientError("there is nothing to update.", hint="Give one or more pairs of a gradient and its variable.")
        graph = pairs[0][0].graph
        graph.claim(name)
        with graph, graph.state(scope=graph.unique(self.scope), phase="update"):
            grads = self._clipped([g for g, _ in pairs])
            step = variable(0.0, name="step", trainable=False)
            now = add(step, 1.0, name="next_step")
            rate = self._rate(step)
            done = [assign(step, now, name="count")]
            scope = graph._scope
            for grad, (_, v) in zip(grads, pairs):
                with graph.state(scope=_place(graph, scope, v.node.name)):
                    done += self._update(v, grad, rate, now)
        with graph.state(phase="update"):
            return group(done, name=name)

    def _rate(self, step: Tensor) -> Tensor:
        if callable(self.learning_rate):
            graph = step.graph
            with graph.state(scope=f"{graph._scope}/schedule"):
                return self.learning_rate(step)
        return constant(float(self.learning_rate), name="learning_rate")

    def _clipped(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clip_norm is None:
            return grads
        graph: Graph = grads[0].graph
        with graph.state(scope=f"{graph._scope}/clip"):
            total = sum_(square(grads[0]))
            for g in grads[1:]:
                total = add(total, sum_(square(g)))
            norm = sqrt(total, name="norm")
            scale = minimum(divide(float(self.clip_norm), add(norm, 1e-6)), 1.0, name="scale")
            return [multiply(g, scale) for g in grads]

    @abstractmethod
    def _update(self, v: Tensor, grad: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        """The assigns that move `v`; `step` counts from 1."""


class SGD(Optimizer):
    """Stochastic gradient descent: W ← W − η · ∂L/∂W; with momentum, along a running sum of gradients (as torch.optim.SGD).

    `nesterov` looks one step ahead along it; `weight_decay` adds that share of the weights to their gradients.
    """

    scope = "SGD"

    def __init__(self, learning_rate: float | Schedule = 1e-2, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0,
                 clip_norm: float | None = None):
        super().__init__(learning_rate, clip_norm=clip_norm)
        if nesterov and not momentum:
            raise AttributeValueError("nesterov looks ahead along the momentum, and there is none.", port="nesterov", hint="Give momentum=0.9.")
        self.momentum, self.nesterov, self.weight_decay = _from_zero("momentum", momentum), nesterov, _from_zero("weight_decay", weight_decay)

    def _update(self, v: Tensor, grad: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        done = []
        if self.weight_decay:
            grad = add(grad, multiply(v, float(self.weight_decay)))
        if self.momentum:
            velocity = variable(init.zeros(v.shape, v.dtype), name="velocity", trainable=False)
            moved = add(multiply(velocity, float(self.momentum)), grad)
            done.append(assign(velocity, moved, name="keep_velocity"))
            grad = add(grad, multiply(moved, float(self.momentum))) if self.nesterov else moved  # nesterov: one step further along the momentum
        rate = rate if rate.dtype == v.dtype else cast(rate, v.dtype.name)
        return [*done, assign(v, sgd_update(v, grad, rate))]


class Adam(Optimizer):
    """Adaptive moments, with torch's formula and defaults. Source: Kingma & Ba 2015."""

    scope = "Adam"
    weight_decay = 0.0

    def __init__(self, learning_rate: float | Schedule = 1e-3, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, clip_norm: float | None = None):
        super().__init__(learning_rate, clip_norm=clip_norm)
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise AttributeValueError(f"{name} is {value!r}.", port=name, hint="Use a number from 0 up to, not including, 1.")
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def _update(self, v: Tensor, grad: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        m = variable(init.zeros(v.shape, v.dtype), name="m", trainable=False)
        s = variable(init.zeros(v.shape, v.dtype), name="v", trainable=False)
        value, new_m, new_s = adam_update(v, grad, m, s, _as(rate, v), _as(step, v), beta1=self.beta1, beta2=self.beta2, eps=self.eps,
                                          weight_decay=self.weight_decay)
        return [assign(m, new_m, name="keep_m"), assign(s, new_s, name="keep_v"), assign(v, value)]


class AdamW(Adam):
    """Adam that also shrinks the weights, apart from the gradient: W ← W − η·λ·W. Source: Loshchilov & Hutter 2019, with torch's defaults."""

    scope = "AdamW"

    def __init__(self, learning_rate: float | Schedule = 1e-3, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-2,
                 clip_norm: float | None = None):
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, eps=eps, clip_norm=clip_norm)
        self.weight_decay = _from_zero("weight_decay", weight_decay)


class RMSProp(Optimizer):
    """Divide each gradient by the root of its recent mean square, with torch's formula and defaults. Source: Tieleman & Hinton 2012."""

    scope = "RMSProp"

    def __init__(self, learning_rate: float | Schedule = 1e-2, *, alpha: float = 0.99, eps: float = 1e-8, momentum: float = 0.0, clip_norm: float | None = None):
        super().__init__(learning_rate, clip_norm=clip_norm)
        if not 0 <= alpha < 1:
            raise AttributeValueError(f"alpha is {alpha!r}.", port="alpha", hint="Use a number from 0 up to, not including, 1.")
        self.alpha, self.eps, self.momentum = alpha, eps, _from_zero("momentum", momentum)

    def _update(self, v: Tensor, grad: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        held = variable(init.zeros(v.shape, v.dtype), name="mean_square", trainable=False)
        now = add(multiply(held, self.alpha), multiply(square(grad), 1 - self.alpha))
        move = divide(grad, add(sqrt(now), self.eps))
        done = [assign(held, now, name="keep_mean_square")]
        if self.momentum:
            velocity = variable(init.zeros(v.shape, v.dtype), name="velocity", trainable=False)
            move = add(multiply(velocity, float(self.momentum)), move)
            done.append(assign(velocity, move, name="keep_velocity"))
        return [*done, assign(v, subtract(v, multiply(move, _as(rate, v))))]


class Adagrad(Optimizer):
    """Divide each gradient by the root of the sum of its squares so far: what moves often moves less. Source: Duchi et al. 2011."""

    scope = "Adagrad"

    def __init__(self, learning_rate: float | Schedule = 1e-2, *, eps: float = 1e-10, clip_norm: float | None = None):
        super().__init__(learning_rate, clip_norm=clip_norm)
        self.eps = eps

    def _update(self, v: Tensor, grad: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        held = variable(init.zeros(v.shape, v.dtype), name="sum_of_squares", trainable=False)
        now = add(held, square(grad))
        return [assign(held, now, name="keep_sum_of_squares"), assign(v, subtract(v, multiply(divide(grad, add(sqrt(now), self.eps)), _as(rate, v))))]


def _from_zero(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise AttributeValueError(f"{name} is {value!r}.", port=name, hint="Use a number from 0 on.")
    return value


def _as(x: Tensor, like: Tensor) -> Tensor:
    return x if x.dtype == like.dtype else cast(x, like.dtype.name)


def _place(graph: Graph, scope: str, name: str) -> str:
    """A scope for one variable's part of the update, out of the way of the optimizer's own nodes: a person may call a variable `step`, too."""
    first, slash, rest = name.partition("/")
    k = 0
    while True:
        parts = f"{scope}/{first}{f'_{k}' if k else ''}{slash}{rest}".split("/")
        if not any("/".join(parts[:n + 1]) in graph for n in range(len(parts))):
            return "/".join(parts)
        k += 1


def _above(node: Node) -> set[int]:
    seen, stack = {node.id}, [node]
    while stack:
        for t in stack.pop().inputs:
            if t.node.id not in seen:
                seen.add(t.node.id)
                stack.append(t.node)
    return seen


# ---------------------------------------------------------------- schedules


def one_cycle(max_rate: float, total_steps: int, *, start: float = 0.3, divide_by: float = 25.0, end_divide_by: float = 1e4) -> Schedule:
    """Warm up to `max_rate` over the first share `start` of the steps, then cool down, both along half a cosine (as torch's OneCycleLR).

    It begins at max_rate / divide_by and ends at that / end_divide_by. Source: Smith & Topin 2018.
    """
    if not total_steps > 1 or not 0 < start < 1:
        raise AttributeValueError(f"one_cycle over {total_steps} steps with a start of {start} is no cycle.", hint="Use two or more steps and a share between 0 and 1.")
    first, last = max_rate / divide_by, max_rate / divide_by / end_divide_by
    top, end = start * total_steps - 1, total_steps - 1

    def between(a: float, b: float, share: Tensor) -> Tensor:
        return add(multiply(add(cos(multiply(share, math.pi)), 1.0), (a - b) / 2), b)

    def rate(step: Tensor) -> Tensor:
        up = between(first, max_rate, multiply(step, 1 / top) if top > 0 else multiply(step, 0.0))
        down = between(max_rate, last, multiply(minimum(subtract(step, top), end - top), 1 / (end - top)))
        return where(less(step, top), up, down, name="rate")
    return rate


def cosine(rate: float, total_steps: int, end: float = 0.0) -> Schedule:
    """From `rate` down to `end` along half a cosine."""
    def at(step: Tensor) -> Tensor:
        return add(multiply(add(cos(multiply(minimum(step, float(total_steps)), math.pi / total_steps)), 1.0), (rate - end) / 2), end, name="rate")
    return at


def constant_rate(rate: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: constant(float(rate), name="rate")


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """`rate`, times `factor` after every so many steps (as torch's StepLR)."""
    if every < 1 or not factor > 0:
        raise AttributeValueError(f"step_decay every {every} steps by {factor} is no schedule.", hint="Use one step or more, and a factor above 0.")
    return lambda step: multiply(power(float(factor), floor(divide(step, float(every)))), float(rate), name="rate")


def exponential(rate: float, factor: float, every: int = 1) -> Schedule:
    """`rate`, times `factor` every so many steps, without a jump (as torch's ExponentialLR for every=1)."""
    if every < 1 or not factor > 0:
        raise AttributeValueError(f"exponential every {every} steps by {factor} is no schedule.", hint="Use one step or more, and a factor above 0.")
    return lambda step: multiply(exp(multiply(step, math.log(factor) / every)), float(rate), name="rate")


def warmup(steps: int, then: float | Schedule) -> Schedule:
    """Climb evenly over the first `steps` steps to where `then` begins, a number or a schedule, and go on with it from its start."""
    if steps < 1:
        raise AttributeValueError(f"warmup over {steps} steps is none.", port="steps", hint="Use 1 or more.")

    def at(step: Tensor) -> Tensor:
        later = then(maximum(subtract(step, float(steps)), 0.0)) if callable(then) else float(then)
        return multiply(minimum(multiply(add(step, 1.0), 1 / steps), 1.0), later)
    return at


def __getattr__(name: str) -> None:
    raise _no_attribute(__name__, name, [n for n, v in globals().items() if getattr(v, "__module__", None) == __name__ and not n.startswith("_")])
