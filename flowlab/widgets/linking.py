"""Linking: the part of an Editor that shares its session's selection with the views of that session."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..apps import cells
from ..io.build import Build
from ..runtime.session import Session
from . import protocol as P
from .looking import meant


class Linking:
    """What an Editor does with the selection of its session: a node that is selected on the canvas is seen by the views, one that a view looks at is selected here."""

    _session: Session
    _built: Build
    _selection: tuple[str, ...]

    def _begin_linking(self) -> None:
        self._unlink: Callable[[], None] = self._session.selection.listen(self._led)

    def _link_to(self, session: Session) -> None:
        """The lab has another session of the same document, or one was lent: what is looked at goes on."""
        self._unlink()
        self._session.selection = session.selection
        self._begin_linking()

    def _picked(self, names: list[str]) -> None:
        """A person has selected something on the canvas; of several nodes none is the one that is looked at."""
        self._selection = tuple(names)
        if len(names) == 1:
            self._session.selection.set(node=names[0], by=self)

    def _led(self, changed: frozenset[str]) -> None:
        """A view, or Python, looks at something."""
        chosen, shown = self._session.selection, self._drawn()
        if "node" in changed and chosen.node is not None:
            name = shown.owner.get(chosen.node, chosen.node)
            if name not in shown.nodes and name not in shown.scopes:      # a scope that stands open: its layer, else what comes last in it
                inside = [n for n in self._built.graph.nodes if n.name.startswith(f"{name}/") and n.op.source is None]
                found = next((n for n in inside if n.op.category in ("recurrent", "conv")), inside[-1] if inside else None)
                name = shown.owner.get(found.name, found.name) if found is not None else name
            if (name in shown.nodes or name in shown.scopes) and self._selection != (name,):
                self._selection = (name,)
                self._say(P.Select(name=name))
        if "pointed" in changed:
            name = None if chosen.pointed is None else shown.owner.get(chosen.pointed, chosen.pointed)
            self._say(P.Pointed(name=name))
        if self._timesteps() != self._sent_timesteps:
            self._say_state()

    def _looked_at(self, loop: Any) -> int | None:
        """The timestep of a loop that is looked at, in the loop itself or in the layer that is written out as it; None for none."""
        chosen, graph = self._session.selection, self._built.graph
        if loop.kind != "loop" or chosen.node is None:
            return None
        node = graph.nodes[chosen.node] if chosen.node in graph.nodes else None
        written_out = cells.loop_of(node) if node is not None and cells.kind_of_layer(node) is not None else None
        here = written_out.name == loop.node if written_out is not None else meant((loop.node,), chosen.node) is not None
        return chosen.timestep if here else None
