"""Debugger: fire one node at a time, in any order that the wires allow, and go back."""
from ..trace.conditions import Condition, condition
from .breakpoints import Breakpoint, Breakpoints, Hit
from .debugger import Debugger, Stop
from .recording import Recording

__all__ = ["Breakpoint", "Breakpoints", "Condition", "Debugger", "Hit", "Recording", "Stop", "condition"]
