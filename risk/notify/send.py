"""Notifications: each event is sent once to each target at the end of a run.

The messages due follow from the ledger alone, so no event is lost in a crash; a message stays in
the ledger until its target has received it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from risk.config import Config
from risk.errors import LedgerError
from risk.explain import case_words
from risk.ledger.database import Record, Row
from risk.ledger.ledger import Ledger
from risk.ledger.outbox import News
from risk.notify import announcements
from risk.notify.announcements import Announcement
from risk.notify.channels import Target, targets

log = logging.getLogger("messages")
MAX_PER_RUN = 20
MAX_SECONDS = 60


def register_recipients(config: Config, ledger: Ledger) -> None:
    """Record new targets before a run: they receive the events from now on."""
    everybody = targets(config)
    known = ledger.outbox.introduced() if everybody else set()
    for target in everybody:
        if target.name not in known:
            said = announcements.introduction(config, ledger.now())
            ledger.outbox.introduce(target.name, title=said.title, body=target.write(said))


def send_notifications(config: Config, ledger: Ledger) -> None:
    """Send new and undelivered messages after a run; never raise an error."""
    deadline = time.monotonic() + MAX_SECONDS
    try:
        for target in targets(config):
            news = ledger.outbox.news(target.name)
            if target.kind in config.messages.warnings_to:
                news += ledger.outbox.digest(target.name)
            if news:
                ledger.outbox.record([_message(config, ledger, target, one) for one in news])
            _deliver(config, ledger, target, deadline=deadline)
    except LedgerError as error:
        log.warning("messages not sent, the next run tries again: %s", error)


@contextmanager
def recording_failure(config: Config, ledger: Ledger) -> Iterator[None]:
    """Record in the run, and notify, that the code in the context failed."""
    try:
        yield
    except Exception as error:
        ledger.runs.fail(error, root=config.root)
        send_notifications(config, ledger)
        raise


def _message(config: Config, ledger: Ledger, target: Target, news: News) -> Row:
    said = _announcement(config, ledger, news)
    return dict.fromkeys(("run_id", "incident_id", "decision_id", "case_id")) | {
        news.about: news.fact.id,
        "target": target.name,
        "event": news.event,
        "title": said.title,
        "body": target.write(said),
        "happened_at": news.happened_at,
    }


def _announcement(config: Config, ledger: Ledger, news: News) -> Announcement:
    fact = news.fact
    if news.about == "case_id":
        case = case_words.described(ledger.cases.read(fact.id))
        return announcements.remind(config, case, news.happened_at)
    if news.about == "incident_id":
        asked = ledger.cases.about(incident_id=fact.id)
        answer = ledger.decisions.of_run(fact.run_id)
        return announcements.announce(config, news, answer, cases=asked)
    asked = ledger.cases.about(decision_id=fact.id) if news.about == "decision_id" else []
    return announcements.announce(config, news, cases=asked)


def _deliver(config: Config, ledger: Ledger, target: Target, *, deadline: float) -> None:
    """Send the pending messages of a target until one fails or time is up."""
    max_attempts = config.messages.max_attempts
    waiting = ledger.outbox.unsent(target.name, max_attempts=max_attempts)
    for batch in _batches(waiting[:MAX_PER_RUN], target.max_at_once):
        if time.monotonic() > deadline:
            break
        numbers = [message.id for message in batch]
        refusal = target.deliver(batch, config.messages.timeout_seconds)
        if refusal is None:
            ledger.outbox.note_sent(numbers)
            continue
        ledger.outbox.note_failure(numbers, refusal)
        log.warning("delivery to %s failed: %s", target.name, refusal)
        if lost := [str(m.id) for m in batch if m.attempts + 1 >= max_attempts]:
            log.error(
                "delivery to %s given up after too many attempts: messages %s",
                target.name,
                ", ".join(lost),
            )
        break
    if left := waiting and ledger.outbox.unsent(target.name, max_attempts=max_attempts):
        log.warning("%d messages for %s not sent, the next run retries", len(left), target.name)


def _batches(messages: Sequence[Record], size: int) -> list[Sequence[Record]]:
    return [messages[start : start + size] for start in range(0, len(messages), size)]
