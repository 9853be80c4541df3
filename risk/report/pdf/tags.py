"""Tagged PDF: what each piece of a page is, in reading order, for those who cannot see it.

The canvas marks what is drawn; afterwards the marks become the tree of the document
(ISO 32000-1, 14.7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pypdf import PdfWriter
from pypdf import generic as pdf


@dataclass(eq=False)
class Element:
    """A node of the structure tree: role, parent, and alternative text."""

    role: str
    parent: Element | None = None
    alternative: str = ""
    pieces: list[tuple[int, int]] = field(default_factory=list)  # page from 0, mark on that page


class Marks:
    """The tags of a document, in drawing order."""

    def __init__(self) -> None:
        self.elements: dict[Element, None] = {}
        self._on_page: dict[int, int] = defaultdict(int)

    @contextmanager
    def marked(self, canvas: Any, element: Element) -> Iterator[None]:
        """Tag what is drawn in the context as part of an element."""
        page = canvas.getPageNumber() - 1
        mark = self._on_page[page]
        self._on_page[page] += 1
        self.elements[element] = None
        element.pieces.append((page, mark))
        canvas.addLiteral(f"/{element.role} <</MCID {mark}>> BDC")
        yield
        canvas.addLiteral("EMC")


@contextmanager
def decoration(canvas: Any) -> Iterator[None]:
    """Tag what is drawn in the context as an artifact, not to be read aloud."""
    canvas.addLiteral("/Artifact BMC")
    yield
    canvas.addLiteral("EMC")


def plant(writer: PdfWriter, elements: Iterable[Element]) -> None:
    """Add the structure tree to a finished document."""
    tree = _Tree(writer)
    for element in elements:
        tree.add(element)
    tree.close()


class _Tree:
    """The tree under construction: each element is created once, its parents first."""

    def __init__(self, writer: PdfWriter) -> None:
        self._writer = writer
        self._root = _as_pdf({"Type": "/StructTreeRoot"})
        self._root_reference = writer._add_object(self._root)
        self._owners: dict[int, list[Any]] = defaultdict(list)
        self._document = self._node("Document", self._root_reference)
        self._made: dict[Element, Any] = {}

    def add(self, element: Element) -> None:
        reference = self._of(element)
        for page, mark in element.pieces:
            page_reference = self._writer.pages[page].indirect_reference
            piece = {"Type": "/MCR", "Pg": page_reference, "MCID": mark}
            reference.get_object()["/K"].append(_as_pdf(piece))
            self._owners[page].append((mark, reference))

    def close(self) -> None:
        numbers: list[Any] = []
        for page, owned in sorted(self._owners.items()):
            self._writer.pages[page].update(_as_pdf({"StructParents": page, "Tabs": "/S"}))
            numbers += [page, [reference for _, reference in sorted(owned, key=lambda own: own[0])]]
        parents = self._writer._add_object(_as_pdf({"Nums": numbers}))
        self._root.update(_as_pdf({"K": self._document, "ParentTree": parents}))
        entries = {"StructTreeRoot": self._root_reference, "MarkInfo": {"Marked": True}}
        self._writer.root_object.update(_as_pdf(entries))

    def _of(self, element: Element) -> Any:
        if element not in self._made:
            parent = self._of(element.parent) if element.parent else self._document
            self._made[element] = self._node(element.role, parent, element.alternative)
            parent.get_object()["/K"].append(self._made[element])
        return self._made[element]

    def _node(self, role: str, parent: Any, alternative: str = "") -> Any:
        node = _as_pdf({"Type": "/StructElem", "S": f"/{role}", "P": parent, "K": []})
        if alternative:
            node[pdf.NameObject("/Alt")] = pdf.TextStringObject(alternative)
        return self._writer._add_object(node)


def _as_pdf(value: Any) -> Any:
    """Convert plain values to PDF objects; a text that begins with a slash is a name."""
    if isinstance(value, pdf.PdfObject):
        return value
    if isinstance(value, dict):
        content = {pdf.NameObject(f"/{name}"): _as_pdf(inner) for name, inner in value.items()}
        return pdf.DictionaryObject(content)
    if isinstance(value, list):
        return pdf.ArrayObject(map(_as_pdf, value))
    if isinstance(value, bool):
        return pdf.BooleanObject(value)
    if isinstance(value, int):
        return pdf.NumberObject(value)
    return pdf.NameObject(value) if value.startswith("/") else pdf.TextStringObject(value)
