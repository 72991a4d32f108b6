"""A static site in a real browser: `check_site(folder)` opens every page from disk in headless Chromium."""

import json
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio"),
    *("--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps"),
)
SECONDS = 120
PHONE = 390  # CSS pixels

# Shows every page in a frame as wide as a phone. The load event waits for all frames and their pictures, and the
# browser hands over the document after it.
PROBE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><pre id="found"></pre><script>
addEventListener("load", () => {
  const found = {}, source = (element) => element.getAttribute("src");
  for (const frame of document.querySelectorAll("iframe")) {
    const inside = frame.contentDocument, images = [...inside.images], root = inside.documentElement;
    found[source(frame)] = {
      images: images.length,
      broken: images.filter((image) => !image.complete || !image.naturalWidth).map(source),
      unlabelled: images.filter((image) => !image.alt).map(source),
      styled: inside.styleSheets.length > 0 && inside.styleSheets[0].cssRules.length > 0,
      overflow: root.scrollWidth - root.clientWidth,
    };
  }
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>
"""
DRIVER = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><pre id="found"></pre><script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  document.getElementById("found").textContent = JSON.stringify((() => { SCRIPT })());
});
</script>
"""
FRAME = '<iframe src="{page}" style="width: {width}px; height: 800px; border: 0"></iframe>\n'


def chromium() -> str:
    """Path of the browser; skips the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium on this machine (Debian: apt install chromium)")


def browse(address: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One visit with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
            [chromium(), *FLAGS, f"--user-data-dir={profile}", "--enable-logging=stderr", *options, address],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


def screenshot(page: Path, target: Path, width: int, height: int, dark: bool = False) -> None:
    """A picture of the top of a page."""
    options = [f"--screenshot={target}", f"--window-size={width},{height}"]
    if dark:
        options.append("--blink-settings=preferredColorScheme=0")
    browse(page.resolve().as_uri(), *options)


def check_site(folder: Path) -> dict[str, dict[str, object]]:
    """Fail unless every page of a site opens from disk without console error, missing picture, picture without
    alternative text, dead link, or sideways scrolling on a phone. Returns what was found, by page."""
    pages = sorted(page.name for page in folder.glob("*.html"))
    assert "index.html" in pages, f"{folder}: no index.html"
    dead = dead_links(folder)
    assert not dead, f"links that lead nowhere: {dead}"
    with tempfile.TemporaryDirectory() as elsewhere:
        site = Path(elsewhere) / "site"
        shutil.copytree(folder, site, ignore=shutil.ignore_patterns(".*"))
        frames = "".join(FRAME.format(page=page, width=PHONE) for page in pages)
        (site / "probe.html").write_text(PROBE + frames, encoding="utf-8")
        visit = browse((site / "probe.html").as_uri(), "--allow-file-access-from-files", "--dump-dom")
    errors = [line for line in visit.stderr.splitlines() if re.search(r":CONSOLE[:(]", line)]
    assert not errors, f"console: {errors}"
    found_text = re.search(r'<pre id="found">(.*?)</pre>', visit.stdout, re.DOTALL)
    assert found_text, f"the pages were not all loaded: {visit.stdout[-500:]} {visit.stderr[-2000:]}"
    assert found_text[1], f"the probe did not finish: {visit.stderr[-2000:]}"
    found = json.loads(unescape(found_text[1]))
    assert sorted(found) == pages
    for page, seen in found.items():
        assert not seen["broken"], f"{page}: pictures that do not load: {seen['broken']}"
        assert not seen["unlabelled"], f"{page}: pictures without alternative text: {seen['unlabelled']}"
        assert seen["styled"], f"{page}: its style sheet did not load"
        assert seen["overflow"] <= 0, f"{page}: {seen['overflow']} px wider than a phone"
    return found


def drive(folder: Path, page: str, script: str) -> Any:
    """Open a page of a site and run JavaScript in it: a function body that sees the page as `page`. Returns what it
    returns. Fails on a console error."""
    with tempfile.TemporaryDirectory() as elsewhere:
        site = Path(elsewhere) / "site"
        shutil.copytree(folder, site, ignore=shutil.ignore_patterns(".*"))
        frame = FRAME.format(page=page, width=PHONE)
        (site / "driver.html").write_text(f"{DRIVER.replace('SCRIPT', script)}{frame}", encoding="utf-8")
        visit = browse((site / "driver.html").as_uri(), "--allow-file-access-from-files", "--dump-dom")
    errors = [line for line in visit.stderr.splitlines() if re.search(r":CONSOLE[:(]", line)]
    assert not errors, f"console: {errors}"
    found_text = re.search(r'<pre id="found">(.*?)</pre>', visit.stdout, re.DOTALL)
    assert found_text, f"the page was not loaded: {visit.stdout[-500:]} {visit.stderr[-2000:]}"
    assert found_text[1], f"the script did not finish: {visit.stderr[-2000:]}"
    return json.loads(unescape(found_text[1]))


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class References(HTMLParser):
    """Addresses a page refers to, and the ids it defines."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.addresses.append(value)
            elif name == "id" and value is not None:
                self.ids.append(value)


def dead_links(folder: Path) -> list[str]:
    """References to files or anchors that are not there, or that leave the folder; ids that are defined twice."""
    pages = {page.name: References(page) for page in folder.glob("*.html")}
    dead = [
        f"{name}: id {value} twice" for name, page in pages.items() for value in page.ids if page.ids.count(value) > 1
    ]
    for name, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            target = unquote(parts.path) or name
            inside = (folder / target).resolve().is_relative_to(folder.resolve())
            lost = parts.scheme or parts.netloc or not inside or not (folder / target).is_file()
            if lost or (parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids):
                dead.append(f"{name}: {address}")
    return dead
