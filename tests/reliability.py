"""What was tried against the promise that nothing is lost: collected from tests into a page.

A test calls the fixture `tried` before it asserts: with what is injected, what must hold
afterwards, and how often it was tried. `make reliability` writes docs/reliability.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

PROPERTY = "reliability"
HEADER = """# Reliability

What was injected, how often, and how often the promise held afterwards: {crash_points} of the
points at which a command can be killed, SIGKILL before a file is changed or a transaction
committed. Written by `make reliability` on {date}; every input is fixed or seeded.

Where libc fails, a library loaded before it makes the calls fail that change a file, whoever makes
them, Python, SQLite or Arrow: SIGKILL before a call or in the middle of a write, ENOSPC or EIO once
or from then on, in turn, {libc_points} of each command.

After a fault the next run, or the same command again, must lead to the state of an undisturbed
one: each drop counted once, each accepted row in its part, the same files, releases and decisions.

| fault | what must hold | tried | survived | lost |
| --- | --- | --: | --: | --: |
"""
FOOTER = """
`make torture` also tries what cannot be counted like this: servers that restart or hang, upgrades
of older installations, Schemathesis against the API, long simulations.
[SECURITY.md](../SECURITY.md) says what is not promised.
"""


class Tried(NamedTuple):
    """Faults injected by one test, and whether it passed."""

    fault: str
    promise: str
    n: int
    passed: bool


def page(
    results: Iterable[Tried], *, every: int, calls: int = 0, now: datetime | None = None
) -> str:
    """Return the page about all results; a failed test survived nothing."""
    tried: dict[tuple[str, str], int] = defaultdict(int)
    survived: dict[tuple[str, str], int] = defaultdict(int)
    for result in results:
        tried[result[:2]] += result.n
        survived[result[:2]] += result.n if result.passed else 0
    rows = [
        f"| {fault} | {promise} | {n:,} | {survived[fault, promise]:,} "
        f"| {n - survived[fault, promise]:,} |\n"
        for (fault, promise), n in sorted(tried.items())
    ]
    points = "all" if every == 1 else f"one in {every}"
    date = (now or datetime.now(UTC)).date()
    of_libc = f"at {calls} calls that lie evenly" if calls else "at all calls"
    return (
        HEADER.format(date=date, crash_points=points, libc_points=of_libc) + "".join(rows) + FOOTER
    )
