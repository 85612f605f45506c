"""Whether every link of a built site leads somewhere, and whether it asks nobody else for anything."""
from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}    # what a browser loads without being asked


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str, dict[str, str | None]]] = []
        self.anchors: set[str] = set()
        self.twice: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            (self.twice if name in self.anchors else self.anchors).add(name)
        if name := given.get("name"):
            self.anchors.add(name)
        address = given.get(FETCHED.get(tag, "href"))
        if address is not None:
            self.links.append((tag, address, given))


def broken(site: Path) -> list[str]:
    """One sentence a link that leads nowhere, a file that would come from elsewhere, an anchor that is there twice."""
    pages: dict[Path, _Page] = {}
    site = site.resolve()
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    wrong = []
    for path, page in pages.items():
        where = path.relative_to(site).as_posix()
        wrong += [f"{where}: #{name} is there twice" for name in sorted(page.twice)]
        for tag, address, given in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if parts.scheme not in ("https", "mailto", "data"):
                    wrong.append(f"{where}: {address} is no https address")
                if tag in FETCHED and parts.scheme != "data" and given.get("rel") not in ("canonical", "me"):
                    wrong.append(f"{where}: {tag} comes from {address}, not from the site")
                continue
            if path.name == "404.html":     # it is shown anywhere, so its addresses begin at the root
                continue
            target = (path.parent / unquote(parts.path) if parts.path else path).resolve()
            if target.is_dir():
                target /= "index.html"
            if site not in target.parents:
                wrong.append(f"{where}: {address} leads out of the site")
            elif not target.is_file():
                wrong.append(f"{where}: {address} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors and not parts.fragment.startswith("__"):
                wrong.append(f"{where}: {address} has no such anchor")
    return wrong
