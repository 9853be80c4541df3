import io
import re
import subprocess
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pypdf import PdfReader

from risk.figures import distributions, rankings, waterfall
from risk.report import drift
from risk.report.document import Bullets, Document, Paragraph, Picture, Section, Table
from risk.report.pdf import write as pdf
from tests.risk.figures.hard_names import ASIAN, LONG

COMPANIES = ["Müller & Söhne <GmbH>", "株式会社ソニー", "삼성전자", "Ελληνικά", "Газпром", "हिन्दी"]
HEADINGS = ["Answers", "Performance", "Thresholds", "Appendix"]


def drawing():
    figure = Figure(figsize=(6, 3))
    axes = figure.subplots()
    axes.bar(["one", "two"], [1, 2], hatch="//", facecolor="white", edgecolor="black")
    axes.set_xlabel("written in the figure")
    return figure


def report(**changes):
    """Write a report with all that a report can hold."""
    rows = tuple((f"feature {n}", n * 1000, n / 200, n % 2 == 0, None) for n in range(120))
    table = Table(
        ("what", "count", "share", "is even", "nothing"),
        rows,
        caption="A long table",
        shares=("share",),
        omitted="30 more are quiet.",
    )
    names = Table(("company", "hash"), tuple((name, "0af3" * 16) for name in COMPANIES))
    tones = [Paragraph("Verdict.", tone) for tone in ("lead", "good", "warning", "bad", "aside")]
    parts = {
        "title": "Report on Ünïts",
        "subtitle": "release 2",
        "reported_at": datetime(2026, 11, 21, 14, 5, tzinfo=UTC),
        "sections": (
            Section("Answers", (*tones, Bullets(("One.", "Two.")))),
            Section(
                "Performance",
                (Picture(drawing(), "A caption.", "Two bars"), Section("Thresholds", (table,))),
            ),
            Section("Appendix", (names, Picture(drawing(), "Another.", "Two bars again"))),
        ),
    }
    parts |= changes
    first, *details = parts["sections"]
    return pdf.write(Document(**parts | {"sections": (first,), "details": tuple(details)}))


@pytest.fixture(scope="module")
def content():
    """Give one report."""
    return report()


@pytest.fixture(scope="module")
def file(content, tmp_path_factory):
    """Give it as a file, for programs that are not ours."""
    path = tmp_path_factory.mktemp("report") / "report.pdf"
    path.write_bytes(content)
    return path


def ask(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    assert not done.stderr  # poppler tells there what is broken
    return done.stdout


@pytest.fixture(scope="module")
def text(file):
    """Give what poppler reads, page by page."""
    return ask("pdftotext", "-layout", file, "-").split("\f")[:-1]


def test_equal_reports_are_equal_bytes(content):
    """Whoever compares two runs must see only what differs."""
    assert report() == content


@pytest.mark.parametrize("name", COMPANIES)
def test_every_name_can_be_found(text, name):
    """Of whatever script, even if no font here has its letters; markup in it is text."""
    assert name in " ".join(text)


def test_all_fonts_are_embedded(file):
    """Else another machine shows other letters, or none."""
    head, _, *fonts = ask("pdffonts", file).splitlines()
    embedded = [line[head.index("emb") :].split()[0] for line in fonts]

    assert len(fonts) >= 3
    assert set(embedded) == {"yes"}
    assert any("DroidSansFallback" in line for line in fonts)


def test_the_document_tells_what_it_is(file, content):
    """Title, language, when it was made; the window shows the title, not the name of the file."""
    facts = dict(line.split(":", 1) for line in ask("pdfinfo", "-isodates", file).splitlines())
    catalog = PdfReader(io.BytesIO(content)).trailer["/Root"]

    assert facts["Title"].strip() == "Report on Ünïts"
    assert facts["CreationDate"].strip().startswith("2026-11-21T14:05:00")
    assert facts["Tagged"].strip() == "yes"
    assert catalog["/Lang"] == "en"
    assert catalog["/ViewerPreferences"]["/DisplayDocTitle"]


def test_each_foot_tells_page_and_number_of_pages(text):
    """A printed page that fell out finds its place."""
    feet = [page.strip().splitlines()[-1] for page in text]

    assert len(text) > 4
    assert [" ".join(foot.split()[-3:]) for foot in feet] == [
        f"{number} of {len(text)}" for number in range(1, len(text) + 1)
    ]


def test_the_first_page_holds_the_answers_alone(text):
    """The contents come after them."""
    assert "Verdict." in text[0]
    assert "Contents" not in text[0]
    assert text[1].strip().startswith("Contents")


def test_bookmarks_and_contents_lead_to_the_headings(content, text):
    """Each heading is on the page they say."""
    reader = PdfReader(io.BytesIO(content))
    bookmarks = []

    def walk(entries):
        for entry in entries:
            if isinstance(entry, list):
                walk(entry)
            else:
                bookmarks.append((entry.title, reader.get_destination_page_number(entry) + 1))

    walk(reader.outline)
    told = re.findall(r"^ *([A-Z]\w+)[ .]+ \.[ .]+(\d+)$", text[1], re.MULTILINE)

    assert [title for title, _ in bookmarks] == HEADINGS
    assert told == [(title, str(page)) for title, page in bookmarks]
    assert all(title in text[page - 1] for title, page in bookmarks)
    assert len([a for a in reader.pages[1]["/Annots"] if "/Link" in str(a.get_object())]) >= 4


def test_long_contents_take_several_pages(tmp_path):
    """A title that takes several lines is not torn apart, and its page is at the last of them."""
    titles = [f"Chapter {n}: {'what was measured in it, and how ' * (n % 9)}end" for n in range(80)]
    path = tmp_path / "report.pdf"
    chapters = [Section(title, (Paragraph("Seen."),)) for title in titles]
    path.write_bytes(report(sections=(Section("Answers"), *chapters)))

    pages = [" ".join(page.split()) for page in ask("pdftotext", path, "-").split("\f")]
    begins = [next(i for i, page in enumerate(pages) if f"{t} Seen." in page) + 1 for t in titles]
    lines = re.findall(r"(Chapter \d+: [^.]*?end)[ .]+(\d+)", " ".join(pages[: begins[0]]))
    assert begins[0] > 3
    assert lines == [(title, str(page)) for title, page in zip(titles, begins, strict=True)]
    assert all(any(title in page for page in pages[: begins[0]]) for title in titles)


def test_a_split_table_repeats_its_headings(text):
    """On each page the columns have names; numbers are written for people."""
    pages = [page for page in text if "feature 1" in page or "feature 119" in page]

    assert len([page for page in text if "is even" in page]) >= 2
    assert all("is even" in page for page in pages)
    assert "119,000" in pages[-1] and "59.5 %" in pages[-1]
    assert "30 more are quiet." in pages[-1]


def test_figures_are_vectors(content, file, tmp_path):
    """What is written in them is text, they hold no picture made of dots."""
    assert "written in the figure" in ask("pdftotext", file, "-")
    assert not ask("pdfimages", "-list", file).splitlines()[2:]

    ask("pdftocairo", "-svg", "-f", "2", "-l", "2", file, tmp_path / "page.svg")
    root = ElementTree.parse(tmp_path / "page.svg").getroot()
    drawn = root.iter("{http://www.w3.org/2000/svg}path")
    assert len(list(drawn)) > 10


def test_whoever_cannot_see_hears_it_in_order(file, content):
    """Headings, lists, rows and cells are tagged; a figure is told in words."""
    tree = ask("pdfinfo", "-struct-text", file)
    roles = [line.split()[0] for line in tree.splitlines() if line.strip()]

    for role in "H1 H2 H3 P LBody TOC TOCI Figure Table TR TH TD".split():
        assert role in roles
    assert roles.count("Figure") == 2
    assert tree.index("Verdict.") < tree.index("A caption.") < tree.index("feature 119")
    assert content.count(b"/Alt (Two bars") == 2


@pytest.mark.parametrize("rows", range(40, 46))
def test_a_full_page_is_not_followed_by_an_empty_one(tmp_path, rows):
    """Whatever stands last; the number of pages is that of pages with words."""
    table = Table(("row",), tuple((f"row {n}",) for n in range(rows)))
    path = tmp_path / "report.pdf"
    path.write_bytes(report(sections=(Section("Answers", (table,)),)))

    pages = ask("pdftotext", path, "-").split("\f")[:-1]
    assert all("row" in page for page in pages)
    assert f"{len(pages)} of {len(pages)}" in " ".join(pages[-1].split())


def test_the_smallest_report_is_a_report(tmp_path):
    """One section, nothing else: no contents, no empty page."""
    path = tmp_path / "report.pdf"
    path.write_bytes(report(sections=(Section("Answers", (Paragraph("No run yet."),)),)))

    pages = ask("pdftotext", path, "-").split("\f")[:-1]
    assert len(pages) == 1
    assert "No run yet." in pages[0] and "1 of 1" in " ".join(pages[0].split())


def test_nothing_reaches_beyond_the_margins(tmp_path):
    """Long names without a space, many columns and cells longer than a page are broken."""
    wide = Table(
        tuple(f"a long heading {n}" for n in range(14)),
        tuple(tuple(float(n * row) * 1234.5 for n in range(14)) for row in range(3)),
    )
    endless = Table(("name", "words"), (("x_" * 200, "many words " * 2000),))
    path = tmp_path / "report.pdf"
    path.write_bytes(report(sections=(Section("Wide " * 40, (wide, endless)),)))

    edges = edges_of(path)
    assert len(edges) > 2000
    assert max(right for _, right, _ in edges) <= 595 - 56 + 0.5


@pytest.mark.parametrize(
    "what", [Picture(drawing(), "Seen.", "x"), Table(("Seen.",), tuple((n,) for n in range(20)))]
)
@pytest.mark.parametrize("lead", ["Some words. ", ""])
def test_no_heading_stands_alone_at_the_foot(tmp_path, what, lead):
    """Wherever on the page it comes: what it is a heading of begins on the same page."""
    chapters = [
        Section(
            f"Above {n}",
            (
                Paragraph("Filling. " * n * 19),
                Section(f"Below {n}", (Paragraph(lead * n * 9), what) if lead else (what,)),
            ),
        )
        for n in range(1, 20)
    ]
    path = tmp_path / "report.pdf"
    path.write_bytes(report(sections=(Section("Answers"), *chapters)))

    pages = ask("pdftotext", path, "-").split("\f")
    for n in range(1, 20):
        page = [page for page in pages if f"Below {n}\n" in page][-1]  # after the contents
        words = page.rpartition(f"Below {n}\n")[2]
        assert words.strip().startswith(lead.strip())
        assert "Seen." in words


def edges_of(path):
    """Ask poppler how far to the right and down the words on all pages reach."""
    words = ask("pdftotext", "-bbox", path, "-").splitlines()
    found = [re.search(r'xMin="([\d.]+)".*xMax="([\d.]+)" yMax="([\d.]+)"', w) for w in words]
    return [[float(number) for number in edge.groups()] for edge in found if edge]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Give a report on 100 features whose names nobody shortened, one of them with 500 values."""
    names = [f"{(LONG, ASIAN)[i % 2]}{i:03}" for i in range(100)]
    moved = pd.DataFrame(
        {
            "feature": names,
            "detail": [f"{name} higher by 0.50 sd" for name in names],
            "size": np.linspace(1, 0.01, 100),
            "drift_score": np.linspace(1, 0.01, 100),
            "threshold": 0.05,
            "e_value": 0.9,
            "drift_detected": [i < 20 for i in range(100)],
        }
    )
    values = pd.DataFrame({"value": [f"{name}{n}" for n in range(5) for name in names]})
    values = values.assign(reference=1 / 500, current=np.linspace(0, 2 / 500, 500))
    parts = pd.DataFrame({"feature": names, "contribution": 0.002})
    faults = pd.DataFrame({"column": names, "missing": 0.1, "out_of_range": 0.2, "unseen": 0.0})
    drawn = [
        rankings.drift_ranking(moved, n=800),
        distributions.categorical_feature(
            values, feature=names[1], n_reference=3000, n_current=800
        ),
        waterfall.risk_attribution(parts, before=0.2, after=0.4, n_reference=3000, n_current=800),
        rankings.data_quality(faults, n=800),
    ]
    told = tuple(f"{name} is higher by 0.50 standard deviations." for name in names[:5])
    chapters = (
        Section("Answers", (Bullets(told),)),
        Section("Drift", (drift.table(moved, "All of them."), *map(pictured, drawn))),
        *(Section(name, (Paragraph(name),)) for name in names[:4]),
    )
    path = tmp_path_factory.mktemp("wide") / "report.pdf"
    path.write_bytes(report(sections=chapters, subtitle=names[0]))
    return path


def pictured(figure):
    return Picture(figure, LONG, ASIAN)


def test_a_wide_report_is_small_and_stays_within_its_margins(wide):
    """Whatever the names: no word, of tables and figures alike, is cut at the edge of the paper."""
    edges = edges_of(wide)

    assert wide.stat().st_size < 5e6
    assert len(edges) > 500
    assert min(left for left, _, _ in edges) >= 56
    assert max(right for _, right, _ in edges) <= 595 - 56 + 0.5
    assert max(low for _, _, low in edges) <= 842 - 30


def test_a_wide_report_tells_what_it_leaves_out(wide):
    """30 of 100 rows are listed, 12 drawn; of 500 values those that changed most."""
    told = " ".join(ask("pdftotext", wide, "-").split())

    assert "70 of 100 are not shown; they drifted less." in told
    assert "Not drawn: 88 more features" in told
    assert "485 more values that changed less" in told
    assert "the other 90 features" in told


def test_a_wide_report_wastes_no_page(wide):
    """Each but the last is at least a third full."""
    pages = ask("pdftotext", "-bbox", wide, "-").split("<page ")[1:]
    for page in pages[2:-1]:  # after the answers and the contents
        lows = sorted(float(low) for low in re.findall(r'yMax="([\d.]+)"', page))
        above_the_foot = [low for low in lows if low < 842 - 57]
        assert above_the_foot[-1] > 842 / 3
