"""Answers to cases, from the command line and the API: what they must say, and recording them."""

from __future__ import annotations

import argparse
import os
import pwd
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from risk import cli
from risk.decisions import case_pack
from risk.errors import Passed, UsageError
from risk.ledger.cases import Answer, CaseState
from risk.ledger.ledger import Ledger

Because = Literal["seasonal", "planned", "data-problem", "no-harm"]
ANSWERS = {
    "approve": CaseState.APPROVED,
    "decline": CaseState.DECLINED,
    "snooze": CaseState.SNOOZED,
}
MAX_NOTE, MAX_NAME = 500, 64


def give(ledger: Ledger, answer: Answer, *numbers: int) -> list[dict[str, Any]]:
    """Record the same answer to some cases, to all or to none; return them as they are now."""
    cases = [ledger.cases.read(number) for number in numbers]
    if len(answer.note) > MAX_NOTE:
        raise UsageError(f"the text has {len(answer.note)} characters, at most {MAX_NOTE} are kept")
    if answer.state is not CaseState.APPROVED and answer.because is None:
        raise UsageError(f"say why a case is declined or snoozed: {', '.join(get_args(Because))}")
    if answer.state is CaseState.SNOOZED and (answer.until is None or answer.until <= ledger.now()):
        raise Passed("a case is snoozed until a date in the future")
    approves = answer.state is CaseState.APPROVED
    resolves = {case["id"] for case in cases if approves and _is_of_drops(case)}
    ledger.cases.answer(numbers, replace(answer, by=answer.by[:MAX_NAME]), resolves=resolves)
    return [ledger.cases.read(number) for number in numbers]


def moment(text: str) -> datetime:
    """Parse when a snoozed case comes back: a date, from its beginning in UTC, or a time.

    A time says by how much it differs from UTC, such as 2026-12-24T08:00+13:00.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text} is not a date such as 2026-12-24") from None
    if len(text) <= len("2026-12-24"):
        return found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        raise UsageError(f"{text} has no time zone: add Z, or an offset such as +13:00")
    try:
        return found.astimezone(UTC)
    except OverflowError:  # within hours of the year 1 or 10000
        return found.replace(tzinfo=UTC)


def from_options(ledger: Ledger, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Record the answer that the command line gives, if it gives one; return the cases."""
    given = [name for name in ANSWERS if options[name] is not None]
    if len(given) > 1:
        raise UsageError(f"one answer at a time, not --{' and --'.join(given)}")
    if (options["until"] is not None) != (given == ["snooze"]):
        raise UsageError("--until requires --snooze, and --snooze requires --until")
    if not given:
        if options["because"]:
            raise UsageError("--because requires --approve, --decline or --snooze")
        return []
    because, *words = options["because"] or [None]
    if because not in (None, *get_args(Because)):
        raise UsageError(f"--because takes one of {', '.join(get_args(Because))}, then a text")
    answer = Answer(
        ANSWERS[given[0]],
        by=_user(),
        via="command line",
        because=because,
        note=" ".join(words),
        until=None if options["until"] is None else moment(options["until"]),
    )
    return give(ledger, answer, *dict.fromkeys(options[given[0]]))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that list cases and answer them."""
    parser.add_argument(
        "--cases", action="store_true", help="list the cases that wait for a person"
    )
    for name, words in {
        "approve": "do what a case proposes",
        "decline": "keep things as they are, and do not ask again",
        "snooze": "ask again on a date, or when it becomes worse; requires --until",
    }.items():
        parser.add_argument(f"--{name}", type=cli.row_number, nargs="+", metavar="ID", help=words)
    parser.add_argument(
        "--until", metavar="DATE", help="such as 2026-12-24 (UTC) or 2026-12-24T08:00+13:00"
    )
    parser.add_argument(
        "--because",
        nargs="+",
        metavar=("REASON", "TEXT"),
        help=f"why: {', '.join(get_args(Because))}, and a text if you like",
    )


def _is_of_drops(case: Mapping[str, Any]) -> bool:
    incident = case["incident"]
    return bool(incident) and case_pack.is_of_drops(incident["kind"], incident["subject"])


def _user() -> str:
    """Return the name of the user of this process, or its number if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
