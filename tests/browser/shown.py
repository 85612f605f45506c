"""A view on screen, and the kernel behind it."""
from __future__ import annotations

import json
import re

from playwright.sync_api import Locator, expect


class Shown:
    """One of the views: `root` is its hook, what is read there is compared with what Python has."""

    def __init__(self, nb, testid: str, alt: str = ""):
        self.nb, self.page, self.alt = nb, nb.page, alt
        self.root: Locator = nb.page.get_by_test_id(testid)

    def find(self, selector: str) -> Locator:
        return self.root.locator(selector)

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def at(self, **hooks) -> None:
        """Wait until the root's data attributes say so."""
        for name, value in hooks.items():
            expect(self.root).to_have_attribute(f"data-{name}", str(value))

    def read(self, name: str, key: str = "data-value") -> float:
        """A readout's number."""
        return float(self.find(f"[data-readout={name}]").get_attribute(key))

    def python(self, code: str):
        """What an expression is in the kernel, through JSON."""
        return json.loads(self.nb.exec(f"import json; print(json.dumps({code}))"))

    def settled(self) -> None:
        expect(self.root).not_to_have_attribute("data-busy", "true")

    def kept(self) -> None:
        """The notebook keeps a picture for when there is no kernel, out of sight while there is one."""
        picture = self.page.locator(f'img[alt="{self.alt}"]')
        expect(picture).to_have_attribute("src", re.compile("^data:image/png;base64,"))
        expect(picture).to_be_hidden()

    def save(self, kind: str, path) -> None:
        with self.page.expect_download() as saved:
            self.root.get_by_label("Save picture or data").select_option(kind)
        saved.value.save_as(path)
