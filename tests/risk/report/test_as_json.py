import json
from datetime import UTC, datetime

from matplotlib.figure import Figure

from risk.report import as_json
from risk.report.document import Document, Paragraph, Picture, Section, Table

AT = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)


def test_everything_but_the_drawing_is_there():
    """Kinds are named; values stay values; JSON has no NaN."""
    table = Table(("name", "n", "at"), (("東京", float("nan"), AT),), caption="What came.")
    picture = Picture(Figure(), "A caption.", "In words.")
    blocks = (Paragraph("Act.", "bad"), picture, Section("Deeper", (table,)))
    content = as_json.write(Document("Report", "of a run", AT, (Section("Answers", blocks),)))

    told = json.loads(content, parse_constant=lambda name: 1 / 0)
    paragraph, drawn, deeper = told["sections"][0]["blocks"]
    assert (told["title"], told["reported_at"]) == ("Report", "2026-11-21T14:05:00+00:00")
    assert paragraph == {"type": "paragraph", "text": "Act.", "tone": "bad"}
    assert drawn == {"type": "picture", "caption": "A caption.", "alternative": "In words."}
    assert deeper["blocks"][0]["rows"] == [["東京", None, "2026-11-21T14:05:00+00:00"]]
    assert deeper["blocks"][0]["columns"] == ["name", "n", "at"]
