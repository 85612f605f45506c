"""What MkDocs calls while it builds the site: pages of the reference are written, those written by hand are run, formulas become MathML, links are followed."""
from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tools.site import links, pages, reference

SITE = reference.Site()
# the name of a function before what it is of, which the converter sets without a space; not where a pair of children is counted
NAMED = re.compile(r"((?<!<msub>)(?<!<msup>)(?<!<msubsup>)(?<!<munder>)(?<!<munderover>)(?<!<mfrac>)<mi>[a-z]{2,}</mi>)(?=<m[infrst])")


def on_config(config: Any) -> Any:
    config.extra["polyfills"] = ["assets/worker.js"]       # before the theme's own script, which starts the search
    return config


def on_files(files: Any, config: Any) -> Any:
    if not SITE.pages:      # `mkdocs serve` builds again and again
        reference.build(SITE)
    for path, text in SITE.pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    if page.file.src_uri in SITE.pages:
        return markdown
    up = "../" * page.file.dest_uri.count("/")

    def draw(what: str, values: list[Any]) -> str:
        if what == "graph":
            return reference.picture(*values)
        if what == "formula":
            return f"$$\n{values[0]}\n$$"
        path = f"runs/{page.file.name}-{len(SITE.assets)}.html"
        made, code, style = reference.recording(values[0], page.title)
        SITE.assets.update({path: made, "assets/replay.js": code, "assets/replay.css": style})
        return reference.replay_frame(f"{up}{path}", page.title, open=True)

    try:
        return pages.run_page(markdown, page.file.src_uri, draw)
    except pages.PageError as error:
        raise PluginError(str(error)) from error


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    def formula(found: re.Match[str]) -> str:
        latex = html.unescape(found["latex"]).replace("{aligned}", "{split}").replace(r"\operatorname{", r"\mathrm{")      # under these names the converter knows them
        made = convert(latex, display="inline" if found["tag"] == "span" else "block").replace("<math ", "<math data-search-exclude ", 1)
        return NAMED.sub(r'\1<mspace width="0.17em" />', made)
    return re.sub(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', formula, content, flags=re.S)


def on_post_build(config: Any) -> None:
    site = Path(config.site_dir)
    for path, text in SITE.assets.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    index = site / "search" / "search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")       # what a page from a disk can load
    if wrong := links.broken(site):
        raise PluginError("\n".join(["links of the site that are not right:", *wrong[:40], *([f"… and {len(wrong) - 40} more"] if len(wrong) > 40 else [])]))
