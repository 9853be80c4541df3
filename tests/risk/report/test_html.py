import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from risk.figures import canvas
from risk.report import html
from risk.report.document import Bullets, Document, Paragraph, Picture, Section, Table

OPEN_FOR_EVER = {"meta", "link", "br", "img"}


def drawing():
    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 3, 2], marker="o")
    axes.bar([1, 2], [1, 2], hatch="//")
    return figure


def report():
    table = Table(("name", "n"), (("<script>alert(1)</script>", 1234), ("株式会社", None)))
    picture = Picture(drawing(), "A caption.", 'Lines that say "up" & down')
    return Document(
        "Report <1>",
        "a subtitle",
        datetime(2026, 11, 21, 14, 5, tzinfo=UTC),
        (Section("Answers", (Paragraph("Act.", "bad"), Bullets(("One & two.",)))),),
        (Section("Figures", (picture, picture, Section("Deeper", (table,)))),),
    )


class Page(HTMLParser):
    """Every element with its attributes, the text, and whether all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in OPEN_FOR_EVER:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def of(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def text():
    """Give a report as a page."""
    canvas.as_svg(drawing())  # the first figure sets the style of all
    return html.write(report()).decode()


@pytest.fixture(scope="module")
def page(text):
    """Give it taken apart."""
    return Page(text)


def test_equal_reports_are_equal_bytes(text):
    """Nothing in it is drawn by lot."""
    assert html.write(report()).decode() == text


def test_it_needs_nothing_else(page, text):
    """No script, no network: it can be mailed, and read under a strict policy."""
    followed = ("href", "xlink:href", "src", "srcset", "action", "data", "poster")
    addresses = [known[name] for _, known in page.elements for name in followed if name in known]

    assert not page.of("script", "link", "img", "iframe", "object")
    assert not any(name.startswith("on") for _, known in page.elements for name in known)
    assert not any(name == "style" for _, known in page.elements for name in known)
    assert addresses and all(address.startswith("#") for address in addresses)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_it_is_well_formed(page):
    """All that is opened is closed, each name is there once, and each link leads somewhere."""
    names = [known["id"] for _, known in page.elements if "id" in known]
    links = [
        known[name]
        for _, known in page.elements
        for name in ("href", "xlink:href")
        if name in known
    ]
    labels = [known["aria-labelledby"] for _, known in page.elements if "aria-labelledby" in known]

    assert page.open == []
    assert len(names) == len(set(names))
    assert {link.removeprefix("#") for link in links} | {*labels} <= {*names}


def test_patterns_of_a_figure_are_its_own(text):
    """Two figures with the same hatch do not borrow from each other."""
    used = re.findall(r"url\(#([^)]+)\)", text)

    assert used
    assert all(f'id="{name}"' in text for name in used)


def test_what_a_customer_is_called_is_only_text(page):
    """Even if it looks like a command."""
    assert "<script>alert(1)</script>" in page.words
    assert not page.of("script")


def test_figures_are_told_in_words(page):
    """A reader that cannot see them says these."""
    assert [known["aria-label"] for known in page.of("svg")] == ['Lines that say "up" & down'] * 2
    assert {known["role"] for known in page.of("svg")} == {"img"}


def test_figures_scroll_where_they_do_not_fit(page):
    """On a phone their words would be too small; a keyboard reaches them as it does tables."""
    regions = [each for each in page.of("div") if each.get("class") == "scrolling"]

    assert len(regions) == len(page.of("table")) + len(page.of("svg"))
    assert {each["tabindex"] for each in regions} == {"0"}


def test_headings_are_nested(page):
    """One title, chapters below it, sections below them; a language is named."""
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]

    assert headings == ["h1", "h2", "h2", "h3"]
    assert page.of("html") == [{"lang": "en"}]


def test_values_are_written_as_on_paper(page):
    """Thousands apart, numbers to the right, nothing left empty."""
    assert {"1,234", "–", "株式会社"} <= {*page.words}
    assert page.of("td")[1] == {"class": "number"}


def test_explanations_are_folded():
    """The first sentence is shown; the same content in fewer words."""
    long = "It was measured" + " again" * 30
    picture = Picture(drawing(), "F1 over time. It is 1 if all is right.", "A line")
    blocks = (picture, Paragraph("Ranges.", "aside"), Bullets((f"{long}; so it is.", "Short; so.")))

    page = html.write(
        replace(report(), sections=(Section("Answers", blocks),), details=())
    ).decode()

    folded = re.findall(r'<details class="note"><summary>(.*?)</summary>(.*?)</details>', page)
    assert folded == [
        ("F1 over time.", "It is 1 if all is right."),
        ("Note", "Ranges."),
        (f"{long}.", "so it is."),
    ]
    assert "<li>Short; so.</li>" in page
