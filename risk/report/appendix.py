"""Appendix: terms, settings, data files with their digests, model and package versions."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from risk import store
from risk.config import Config
from risk.errors import RiskError
from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.ledger.queries import Part
from risk.models import model
from risk.models.model import Manifest
from risk.monitoring import seasonality
from risk.monitoring.seasonality import Seasonal
from risk.report.context import Context
from risk.report.document import Block, Paragraph, Section, Table

MAX_FILES, MAX_CHARACTERS, MAX_CURVES = 25, 300, 30
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OF_TRAINING = re.compile(r"training\.(?!cost)|gate\.|policy\.(?!ask_first)|test_data|output_model")
HOURS = tuple(f"{hour:02}:00" for hour in range(0, 24, 3))


def section(known: Context) -> Section:
    """List what the report is based on."""
    return Section(
        "What this report is based on",
        (
            _words(known),
            _versions(),
            _settings(known),
            _files(known),
            _model(known),
            *_seasons(known),
        ),
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the value of each setting."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            cut = f"{text[:MAX_CHARACTERS]} ..." if len(text) > MAX_CHARACTERS else text
            yield f"{prefix}{name}", cut


def settings(config: Config) -> dict[str, Any]:
    """Return the settings in force, without secrets."""
    hidden = {"signing_key", "flask_secret_key", "api_key", "notify_urls"}
    hidden |= {"webhook_url", "webhook_secret"}
    shown: dict[str, Any] = config.model_dump(mode="json", exclude=hidden)
    return shown


def _words(known: Context) -> Section:
    confidence, is_watched = f"{known.config.scoring.confidence:.0%}", known.config.watches_only
    came_first = "that came first, or that a person set"
    words: tuple[tuple[str, str], ...] = (
        (
            "interval",
            f"contains the true value with {confidence} confidence; intervals recorded under "
            "another setting keep their confidence level",
        ),
        ("standard deviation (sd)", "the typical distance of values from their mean"),
        (
            "evidence",
            "how strongly the data speak for a change, as a share of what raises an alarm",
        ),
        (
            known.known_rows,
            f"the rows {came_first if is_watched else 'a release was trained on'}; new rows are "
            "compared with them",
        ),
        ("at risk", known.config.columns.classes[1]),
    )
    if not is_watched:
        words += (
            ("test data", "labelled rows that no model is ever trained on"),
            ("rows not used for training", "labelled rows held out from training, or newer"),
        )
    return Section("Terms", (Table(("term", "meaning"), words),))


def _settings(known: Context) -> Section:
    shown, left_out = [*flat(settings(known.config))], "secrets are"
    if known.config.watches_only:
        shown = [(name, value) for name, value in shown if not OF_TRAINING.match(name)]
        left_out = "secrets and what only models made here need are"
    table = Table(
        ("setting", "value"),
        tuple(shown),
        caption=f"The settings in force when this report was made; {left_out} left out.",
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
        ("file", "ingested (UTC)", "rows added", "SHA-256"),
        tuple(rows),
        caption="Ingested files, newest first.",
        omitted=f"{counted(hidden, 'older file')} not shown; all are in the ledger."
        if hidden
        else "",
    )
    return Section("Data files", (_test_data(known), table))


def _test_data(known: Context) -> Paragraph:
    if known.config.watches_only:
        return Paragraph("There are no test data, as the predictions are made elsewhere.")
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
        Table(("field", "value"), tuple(flat(content)), caption="The signed manifest."),
    ]
    names = ["in cross-validation", "on the test data"]
    if manifest.is_watched:
        names = ["on the reference"]
    for name, estimates in zip(names, scores, strict=False):
        if estimates:
            rows = tuple((metric, *estimate.values()) for metric, estimate in estimates.items())
            caption = (
                f"Scores {name} at the time of {'release' if manifest.is_watched else 'training'}."
            )
            blocks.append(
                Table(("score", "value", "lower", "upper", "rows"), rows, caption=caption)
            )
    return Section(title, tuple(blocks))


def _seasons(known: Context) -> tuple[Section, ...]:
    """List what is expected by weekday and by hour, where the known rows follow the calendar."""
    curves = seasonality.curves(known.monitored.reference) if known.monitored else []
    if not curves:
        return ()
    tables = [
        _curves([(each, each.week) for each in curves], WEEKDAYS, "by weekday", known.known_rows),
        _curves(
            [(each, each.day[::3]) for each in curves], HOURS, "by hour, UTC", known.known_rows
        ),
    ]
    return (Section("Seasons of the live release", tuple(filter(None, tables))),)


def _curves(
    parts: Sequence[tuple[Seasonal, Sequence[float]]], when: Sequence[str], words: str, of: str
) -> Table | None:
    """List the curves that vary, the largest first."""
    varied = [(each, part) for each, part in parts if any(part)]
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (plain_words.subject(each.subject), each.direction, *part)
        for each, part in varied[:MAX_CURVES]
    )
    hidden = len(varied) - len(rows)
    return (
        Table(
            ("subject", "direction", *when),
            rows,
            caption=f"Expected {words}, in standard deviations from the mean of the {of}.",
            omitted=f"{counted(hidden, 'smaller curve')} not shown." if hidden else "",
        )
        if rows
        else None
    )


def _versions() -> Section:
    content = model.environment()
    used = ", ".join(f"{name} {version}" for name, version in sorted(content["packages"].items()))
    text = f"This report was made with Python {content['python_version']}, {used} on "
    text += f"{platform.system()}; the manifest lists those its release was made with."
    return Section("Versions", (Paragraph(text),))
