"""What an auditor needs to trace the report: settings, data with their digests, model, versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from risk import store
from risk.config import Config
from risk.errors import RiskError
from risk.explain.plain_words import counted
from risk.ledger.queries import Part
from risk.models import model
from risk.models.model import Manifest
from risk.report.context import Context
from risk.report.document import Block, Paragraph, Section, Table

MAX_FILES, MAX_CHARACTERS = 25, 300


def section(known: Context) -> Section:
    """List what the report rests on."""
    return Section(
        "Appendix", (_words(known), _settings(known), _files(known), _model(known), _versions())
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each setting, those of a section with its name."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            cut = f"{text[:MAX_CHARACTERS]} ..." if len(text) > MAX_CHARACTERS else text
            yield f"{prefix}{name}", cut


def settings(config: Config) -> dict[str, Any]:
    """Return the settings in force without those that are secret."""
    hidden = {"signing_key", "flask_secret_key", "api_key", "notify_urls"}
    hidden |= {"webhook_url", "webhook_secret"}
    shown: dict[str, Any] = config.model_dump(mode="json", exclude=hidden)
    return shown


def _words(known: Context) -> Section:
    confidence = f"{known.config.scoring.confidence:.0%}"
    words = (
        (
            "interval",
            f"holds the true value with {confidence} confidence, as far as chance goes; one that "
            "was recorded when the settings said otherwise keeps the confidence of then",
        ),
        ("standard deviation (sd)", "how much values usually differ from their mean"),
        ("evidence", "how much more likely what was seen is if something changed than if not"),
        ("the rows learnt from", "those the release remembers, the reference of all comparisons"),
        ("test data", "labelled rows no model is ever trained on"),
        ("rows not learnt", "labelled rows the model was not made from: kept from it, or newer"),
        ("at risk", known.config.columns.classes[1]),
    )
    return Section("Words", (Table(("word", "meaning"), words),))


def _settings(known: Context) -> Section:
    table = Table(
        ("setting", "value"),
        tuple(flat(settings(known.config))),
        caption="The settings in force when this report was made; secrets are left out.",
    )
    return Section("Settings", (table,))


def _files(known: Context) -> Section:
    listed = known.ledger.ingestions.page(Part(page_size=MAX_FILES))
    rows = [
        (drop["path"], drop["ingested_at"], drop["rows_added"], drop["sha256"])
        for drop in listed.items
    ]
    hidden = listed.total - len(rows)
    table = Table(
        ("file", "came", "rows taken", "SHA-256"),
        tuple(rows),
        caption="The data files, the newest first.",
        omitted=f"{counted(hidden, 'older file')} left out; the ledger has them." if hidden else "",
    )
    return Section("Data files", (_test_data(known), table))


def _test_data(known: Context) -> Paragraph:
    path = known.config.test_data
    try:
        digest = model.digest(store.read(path))
    except RiskError as error:
        return Paragraph(f"The test data cannot be read: {error}.")
    return Paragraph(f"Test data: {known.config.name_of(path)}, SHA-256 {digest}.")


def _model(known: Context) -> Section:
    title = "The live model"
    release = known.snapshot.release
    if release is None:
        return Section(title, (Paragraph("No release is live."),))
    try:
        manifest = Manifest.model_validate_json(known.ledger.releases.manifest(release["version"]))
    except (RiskError, ValueError) as error:
        return Section(title, (Paragraph(f"Its manifest cannot be read: {error}."),))
    content = manifest.model_dump(mode="json")
    scores = content.pop("held_out_scores"), content.pop("test_scores")
    blocks: list[Block] = [
        Table(("what", "value"), tuple(flat(content)), caption="The signed manifest."),
    ]
    names = ("in cross-validation", "on the test data")
    for name, told in zip(names, scores, strict=True):
        if told:
            rows = tuple((metric, *estimate.values()) for metric, estimate in told.items())
            caption = f"Its scores {name}, when it was made."
            blocks.append(Table(("score", "value", "from", "to", "rows"), rows, caption=caption))
    return Section(title, tuple(blocks))


def _versions() -> Section:
    content = model.environment()
    rows = (
        ("Python", str(content["python_version"])),
        *sorted(content["packages"].items()),
        ("operating system", platform.system()),
    )
    caption = "What this report was made with; the manifest names what the model was made with."
    return Section("Versions", (Table(("package", "version"), rows, caption=caption),))
