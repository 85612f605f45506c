"""The language of a widget's screen. Everything here speaks English; the page says it again from its book (widgets/src/shared/words)."""
from __future__ import annotations

import os

import traitlets

from ..core.errors import AttributeValueError

LANGUAGES = ("en", "zh-CN", "zh-TW")


def language_of(tag: str) -> str:
    """The language that a tag such as `zh`, `zh_Hant` or `en-GB` asks for; AttributeValueError for one that is not here."""
    text = tag.strip().replace("_", "-").lower()
    if text == "":
        return ""
    if text.split("-")[0] == "en":
        return "en"
    if text.split("-")[0] == "zh":
        return "zh-TW" if any(part in ("hant", "tw", "hk", "mo") for part in text.split("-")) else "zh-CN"
    raise AttributeValueError(f"there is no language {tag!r}.", hint=f"There are {', '.join(LANGUAGES)}.")


class Worded(traitlets.HasTraits):
    """A widget with a language: `en`, `zh-CN` or `zh-TW`. Empty leaves it to the page: what was chosen there last, the notebook's language, the browser's.

    The environment's FLOWLAB_LANGUAGE is what a new widget starts with.
    """

    language = traitlets.Unicode().tag(sync=True)

    @traitlets.default("language")
    def _from_environment(self) -> str:
        try:
            return language_of(os.environ.get("FLOWLAB_LANGUAGE", ""))
        except AttributeValueError:
            return ""       # a classroom's setting for another program keeps nobody from working

    @traitlets.validate("language")
    def _known(self, proposal: dict) -> str:
        return language_of(proposal["value"])
