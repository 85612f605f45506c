"""The documentation's site, built as `make docs` builds it, opened from a disk: nothing is asked of a network, the search finds, a recorded run is stepped."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)], cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, text=True, capture_output=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_the_site_works_from_a_disk(site, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.as_uri()}/reference/operations/activation.html#softmax")
    expect(page.locator("#softmax")).to_be_visible()
    assert page.locator("math").count() > 40 and page.locator(".fl-graph svg").count() > 25
    run = page.locator("#softmax ~ details.fl-run").first
    run.locator("summary").click()
    frame = run.locator("iframe").content_frame
    frame.get_by_role("button", name="Step", exact=True).click()
    expect(frame.get_by_test_id("flowlab").first).to_have_attribute("data-cursor", "1")
    page.locator(".md-search__input").fill("softmax")
    expect(page.locator(".md-search-result__link").filter(has_text="Softmax").first).to_be_visible(timeout=60_000)       # the index is made in the page
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.mark.slow
def test_the_site_fits_a_phone(site, page):
    page.set_viewport_size({"width": 390, "height": 800})
    for path in sorted(site.rglob("*.html")):
        if "runs" not in path.parts and path.name != "404.html":
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
