"""What a page would see of a widget, without a browser: the messages that it sends, and a way to send it some."""
from __future__ import annotations

import numpy as np

from flowlab.widgets import protocol as P


class Page:
    """The page of a view. Buffers arrive as float32."""

    def __init__(self, view):
        self.view, self.messages, self.seq = view, [], 0
        view.send = lambda content, buffers=None: self.messages.append((content, [np.frombuffer(b, "<f4") for b in buffers or ()]))

    def say(self, **content):
        """Send one message: (was it done, the answers to it), the last of which must be its Done."""
        self.seq += 1
        self.messages.clear()
        self.view._handle_custom_msg(content | {"seq": self.seq}, [])
        *answers, (done, _) = self.messages
        assert done["type"] == "done" and done["seq"] == self.seq
        return done["ok"], answers

    def hello(self):
        """What a new page is shown first: (data, buffers)."""
        ok, [first, *_] = self.say(type="hello", version=P.VERSION)
        assert ok
        return first

    def last(self, kind):
        """The latest message of a kind."""
        return next(data for data, _ in reversed(self.messages) if data["type"] == kind)

    def refused(self, **content):
        """What is told of a message that cannot be done."""
        ok, _ = self.say(**content)
        assert not ok
        return self.last("notice")["text"]
