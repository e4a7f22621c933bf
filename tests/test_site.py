"""The built site in a browser: every page whole, quiet, findable, narrow enough, and alone on the network."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightglass.names import ROOT
from sightglass.press.build import pages

SITE = ROOT / "runs/world/_html"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
PAGES = pages(ROOT)
BROKEN = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
LAZY = "document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })"
RAW = "return [...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container svg')).length"
WIDTH = "return document.documentElement.scrollWidth"


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that doesn't log."""

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start Debian's Chromium with a profile of its own, or skip and say why."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not SITE.is_dir():
        pytest.skip("no site in runs/world/_html: `make book` builds it")
    if not (binary and driver):
        pytest.skip("no browser: `apt-get install chromium chromium-driver` brings one")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


@pytest.fixture(scope="module")
def address():
    """Serve the site from disk."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def visit(browser, url: str) -> None:
    """Load a page and wait for its formulas."""
    browser.get(url)
    browser.execute_script(LAZY)
    wait(browser, "return document.readyState == 'complete'")
    wait(browser, "return !window.MathJax || !MathJax.startup || !!MathJax.startup.document")
    wait(browser, RAW.replace("return", "return 0 =="))


def wait(browser, script: str) -> None:
    """Wait until a script says yes."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20, poll_frequency=0.1).until(lambda b: b.execute_script(script))


def asked(browser) -> list[str]:
    """Return the addresses that the browser has asked for since the last look."""
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def check(browser, base: str) -> None:
    """Check what must hold on every page."""
    outside = [u for u in asked(browser) if not u.startswith((base, "data:", "blob:", "chrome:"))]
    assert not outside, f"asks the network for {outside}"
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors
    assert not browser.execute_script(BROKEN)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole_and_asks_nothing_of_the_network(browser, address, page):
    visit(browser, f"{address}{page}.html")
    check(browser, address)
    assert browser.find_element("css selector", "article h1").text


@pytest.mark.parametrize("page", PAGES)
def test_page_fits_a_phone(browser, address, page):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        visit(browser, f"{address}{page}.html")
        assert browser.execute_script(WIDTH) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("where", ["served", "file"])
def test_search_finds_a_page_by_a_word_of_its_title(browser, address, where):
    base = address if where == "served" else SITE.as_uri() + "/"
    visit(browser, f"{base}search.html?q=notation")
    wait(browser, "return document.querySelectorAll('#search-results li a').length > 0")
    found = [a.get_attribute("href") for a in browser.find_elements("css selector", "#search-results li a")]
    assert any("notation.html" in link for link in found)
    check(browser, base)


def test_site_works_from_disk(browser):
    base = SITE.as_uri() + "/"
    for page in (PAGES[0], "notation"):
        visit(browser, f"{base}{page}.html")
        check(browser, base)
    assert browser.execute_script("return document.querySelectorAll('mjx-container svg').length") > 0


def test_no_page_names_a_foreign_script_or_style():
    if not SITE.is_dir():
        pytest.skip("no site in runs/world/_html: `make book` builds it")
    for path in Path(SITE).rglob("*.html"):
        text = path.read_text()
        assert 'src="http' not in text and '<link rel="stylesheet" type="text/css" href="http' not in text, path
