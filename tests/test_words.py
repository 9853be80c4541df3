"""What people read is plain English in the terms of docs/glossary.md."""

import ast
import re

from risk.config import PRODUCT
from tests import test_docs

ROOT = test_docs.ROOT
CODE = sorted(
    path
    for pattern in (
        "*.py",
        "risk/**/*.py",
        "web/**/*.py",
        "demo/*.py",
        "benchmarks/*.py",
        "docs/*.py",
    )
    for path in ROOT.glob(pattern)
)
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "monitoring/*", "web/templates/*.html", "risk/**/*.html")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
HABITS = {
    r"\b(be|is|are|was|been) told\b": "reported, shown, or notified",
    r"\b(it|that|which|who|and) tells?\b|^Tell ": "shows, or a verb that says what is done",
    r"\blearnt\b": "trained on",
    r"\bcalled at risk\b": "flagged as at risk",
    r"\bthreshold in force\b": "current threshold",
    r"\bwent well\b": "succeeded",
    r"\bcut off before\b|\bwas cut off\b": "interrupted",
    r"\b(are|is) of a --": "requires",
    r"\bStage \d of \d\b": "the order is that of full_process.py",
    r"\bcan be mended\b|\b[Mm]end what\b": "fix, repair",
    r"\bleft alone\b": "not called, unchanged",
    r"\ba person is asked\b|\bA person is asked\b": "approval needed",
    r"\bwhose turn\b": "single-writer locking",
    r"\bunder watch\b|\bon watch\b": "on probation, monitored",
    r"\bModel watch\b": PRODUCT,
    r"\b(is|are) no (address|number|date)\b": "say what is wrong with it",
    r"\bthe seeds?\b(?! of)": "endpoints",
}
NAMES = r"(^|_)(told|tell|fewest)(_|$)|^most_|_most$|^MOST_|^FEWEST_"


def texts(path):
    """Return the texts of a module, docstrings included, each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, " ".join(node.value.split())


def names(path):
    """Return the names a module gives to functions, classes, parameters and constants."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((node.lineno, t.id) for t in node.targets if isinstance(t, ast.Name))


def habits_in(texts):
    """Return the line of each habit, its words and better ones."""
    return [
        (line, found[0], better)
        for line, text in texts
        for pattern, better in HABITS.items()
        if (found := re.search(pattern, text))
    ]


def in_each(paths, rule):
    """Return what a rule finds in each file in which it finds anything."""
    return {path.relative_to(ROOT).as_posix(): found for path in paths if (found := rule(path))}


def test_code_says_plainly_what_it_does():
    """In docstrings, messages and help texts."""
    assert in_each(CODE, lambda path: habits_in(texts(path))) == {}


def test_pages_say_plainly_what_they_mean():
    """Documentation, pages of the dashboard and alerts; decision records keep their words."""

    def lines(path):
        return enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)

    assert in_each(PAGES, lambda path: habits_in(lines(path))) == {}


def test_names_are_those_of_the_field():
    """`max_` and `min_` for limits, and verbs that say what a function does."""

    def others(path):
        return [(line, name) for line, name in names(path) if re.search(NAMES, name)]

    assert in_each(CODE, others) == {}


def test_the_product_has_one_name():
    """On pages, in the API, in the report and in the README."""
    pages = [path for path in PAGES if path.suffix == ".html" and "<title>" in path.read_text()]
    pages += [p for p in PAGES if p.suffix == ".html" and "block title" in p.read_text()]

    assert (ROOT / "README.md").read_text().startswith(f"# {PRODUCT}\n")
    assert len(pages) > 5
    for path in pages:
        text = path.read_text()
        assert PRODUCT in text or "{{ document.title }}" in text, path
