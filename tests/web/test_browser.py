"""The dashboard in a real browser, over a real server, after a past of some runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

import full_process
from risk.config import Config
from risk.explain import health, snapshot
from risk.ledger.ledger import Ledger
from risk.models import releases
from web import api_keys

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium")


@pytest.fixture(scope="module")
def config(new_world, tmp_path_factory, two_releases):
    """Give the settings of a world with a past, and as many quiet runs since as fit on a page."""
    world = new_world(tmp_path_factory.mktemp("dashboard")).copy_of(two_releases)
    header, *rows = (world.config.input_folder / "dataset3.csv").read_text().splitlines()
    world.drop("more.csv", "\n".join([header, *(f"new {row}" for row in rows)]) + "\n")
    with world.open_ledger() as ledger:
        for _ in range(20):
            full_process.run(world.config, ledger)
    return world.config


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Live through the sixty days of the demo as its user does."""
    folder = tmp_path_factory.mktemp("demo") / "world"
    command = [sys.executable, ROOT / "demo" / "replay.py", "--folder", folder, "--without-reports"]
    command += ["--end", "2026-03-01"]
    subprocess.run(command, check=True, capture_output=True, timeout=1800)
    return Config.load(folder / "config.json")


@pytest.fixture(scope="module")
def url(config, serve_world):
    with serve_world(SimpleNamespace(config=config)) as address:
        yield address


@pytest.fixture
def last_look(config):
    """Give the moment at which the newest run ended."""
    with Ledger.open(config, upgrade=False) as ledger:
        return ledger.runs.page().items[0]["ended_at"]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser, url):
    """Give a function that opens the dashboard and remembers complaints and what is fetched."""
    contexts = []

    def opened(address=url, **options):
        context = browser.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.fetched = [], []
        page.on("console", lambda said: is_complaint(said) and page.complaints.append(said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", lambda request: page.complaints.append(request.url))
        page.on("request", lambda request: page.fetched.append(request.url))
        page.goto(address, wait_until="networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()


def is_complaint(said):
    """Tell a fault from a hint, which only shows up in the tools of a developer."""
    return said.type in ("error", "warning")


def words(page, selector):
    return " ".join(page.locator(selector).inner_text().split())


def test_what_is_shown_is_what_the_ledger_says(visit, config):
    """Verdict and reasons, live release, score, open incidents, runs."""
    with Ledger.open(config, upgrade=False) as ledger:
        told = health.assess(snapshot.look(config, ledger))
        listed = ledger.runs.page()
        scores = ledger.trends.of("f1", feature="realised on new rows")
        still_open = len(ledger.incidents.unresolved())
    live = releases.live_version(config.deployment_folder)

    page = visit()

    facts = [" ".join(text.split()) for text in page.locator(".facts dd").all_inner_texts()]
    assert words(page, "h1") == told.headline
    assert page.locator(".reasons li").all_inner_texts() == list(told.reasons)
    assert facts[0].startswith(f"{live} ")
    assert facts[1].startswith(f"{scores['value'].iloc[-1]:.3f} on ")
    assert facts[2].startswith(f"{still_open} ")
    assert page.locator(".incident").count() == still_open
    assert words(page, "#runs caption") == f"Runs, newest first (20 of {listed.total})"
    assert page.locator("#runs tbody th").first.inner_text() == str(listed.items[0]["id"])


@pytest.mark.torture
def test_the_demo_tells_its_story(visit, demo, serve_world):
    """Sixty days, late labels, a broken feed; whoever looks in months sees that it is old."""
    with serve_world(SimpleNamespace(config=demo)) as address:
        page = visit(address)

    alternative = page.locator("img.chart").get_attribute("alt")
    for words_of_it in (
        "of 53 runs",
        "release 4 on 28 January 2026",
        "release 5 on 7 February 2026",
    ):
        assert words_of_it in alternative
    assert "The last successful run was" in words(page, ".reasons")
    assert page.locator("td.alarm").count() >= 4  # of the four days of the broken feed, each
    assert "lastmonth_activity" in words(page, ".heat")


def test_nothing_fails_and_nothing_is_fetched_elsewhere(visit, url):
    """No complaint in the console, no request off the machine; the chart is there."""
    for scheme in ("light", "dark"):
        for viewport in (DESK, PHONE):
            page = visit(color_scheme=scheme, viewport=viewport)

            assert page.complaints == []
            assert len(page.fetched) >= 4
            assert all(address.startswith(f"{url}/") for address in page.fetched)
            assert any(f"theme={scheme}" in address for address in page.fetched)
            assert page.evaluate("document.querySelector('img.chart').naturalWidth") > 0


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_scrolls_sideways(visit, width):
    """Wide tables scroll inside their own region, which the keyboard reaches."""
    page = visit(viewport={"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for region in page.locator(".scrolling").all():
        assert region.get_attribute("tabindex") == "0"
        assert region.get_attribute("aria-label")


def test_the_page_needs_no_script(visit, last_look):
    """Everything is there without JavaScript, times in UTC."""
    page = visit(java_script_enabled=False)
    moment = f"{last_look.day} {last_look:%b %Y, %H:%M} UTC"

    assert words(page, "h1").endswith("the model is fit to use")
    assert page.locator("tbody tr").count() > 40
    assert words(page, ".facts").endswith(moment)
    page.locator("#incidents summary").click()
    assert "Release 2 was deployed" in words(page, "#incidents")


def test_scripts_tell_times_in_the_zone_of_the_visitor(visit, last_look):
    """Comfort only; the hour in UTC is kept as a title."""
    page = visit(timezone_id="Asia/Tokyo")

    shown = page.locator(".facts time[datetime]").last
    there = last_look.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{there:%H:%M}" in shown.inner_text()
    assert shown.get_attribute("title") == f"{last_look.day} {last_look:%b %Y, %H:%M} UTC"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(visit, scheme, viewport):
    """All that is folded away is unfolded first."""
    from axe_playwright_python.sync_playwright import Axe

    page = visit(color_scheme=scheme, viewport=viewport)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")

    found = Axe().run(page).response["violations"]

    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []


def test_the_keyboard_alone_is_enough(visit):
    """The first stop skips the navigation, and one sees where one is."""
    page = visit()
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_a_person_signs_in_and_handles_an_incident(visit, config, url):
    """Acknowledged, then resolved with a reason, then among the resolved ones."""
    row = {"kind": "data_drift", "subject": "<b>plan</b>", "severity": "moderate"}
    with Ledger.open(config) as ledger:
        ledger.incidents.open(row | {"version": 4, "detail": "<b>plan</b> is premium more often"})
    key = api_keys.create(config, "ada", "write").key
    page = visit()
    page.click("#incidents >> text=Sign in")
    page.fill("#key", key)
    page.click("main button")
    page.click("text=Acknowledge")
    page.wait_for_selector("text=Acknowledged")
    page.fill("#incidents input", "a new price list")
    page.click("text=Resolve")
    page.wait_for_selector("text=No open incidents.")
    page.click("#incidents summary")

    assert "a new price list (by ada)" in words(page, "#incidents")
    assert "<b>plan</b> is premium more often" in words(page, "#incidents")
    assert page.complaints == []
    assert re.fullmatch(rf"{url}/?", page.url)
