"""People and machines are told what happened: at the end of a run, once each, whatever crashes.

What a target is to be told follows from the ledger alone, so nothing is lost between an event and
its message; a message stays there until its target has taken it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from risk.config import Config
from risk.errors import LedgerError
from risk.ledger.database import Record, Row
from risk.ledger.ledger import Ledger
from risk.ledger.outbox import News
from risk.notify import announcements
from risk.notify.channels import Target, targets

log = logging.getLogger("messages")
MAX_PER_RUN = 20
MAX_SECONDS = 60


def register_recipients(config: Config, ledger: Ledger) -> None:
    """Note, before a run, which targets are new: they are told what happens from here on."""
    everybody = targets(config)
    known = ledger.outbox.introduced() if everybody else set()
    for target in everybody:
        if target.name not in known:
            said = announcements.introduction(config, ledger.now())
            ledger.outbox.introduce(target.name, title=said.title, body=target.write(said))


def send_notifications(config: Config, ledger: Ledger) -> None:
    """Tell, after a run, what is new and what could not be told before; never fail."""
    deadline = time.monotonic() + MAX_SECONDS
    try:
        for target in targets(config):
            if news := ledger.outbox.news(target.name):
                ledger.outbox.record([_message(config, ledger, target, one) for one in news])
            _deliver(config, ledger, target, deadline=deadline)
    except LedgerError as error:
        log.warning("messages wait for the next run: %s", error)


def _message(config: Config, ledger: Ledger, target: Target, news: News) -> Row:
    answer = ledger.decisions.of_run(news.fact.run_id) if news.about == "incident_id" else None
    said = announcements.announce(config, news, answer)
    return dict.fromkeys(("run_id", "incident_id", "decision_id")) | {
        news.about: news.fact.id,
        "target": target.name,
        "event": news.event,
        "title": said.title,
        "body": target.write(said),
        "happened_at": news.happened_at,
    }


def _deliver(config: Config, ledger: Ledger, target: Target, *, deadline: float) -> None:
    """Send what waits for a target, until it does not take something or time is up."""
    most_attempts = config.messages.most_attempts
    waiting = ledger.outbox.unsent(target.name, most_attempts=most_attempts)
    for batch in _batches(waiting[:MAX_PER_RUN], target.most_at_once):
        if time.monotonic() > deadline:
            break
        numbers = [message.id for message in batch]
        refusal = target.deliver(batch, config.messages.timeout_seconds)
        if refusal is None:
            ledger.outbox.note_sent(numbers)
            continue
        ledger.outbox.note_failure(numbers, refusal)
        log.warning("%s took no message: %s", target.name, refusal)
        if lost := [str(m.id) for m in batch if m.attempts + 1 >= most_attempts]:
            log.error("given up for %s: messages %s", target.name, ", ".join(lost))
        break
    if left := waiting and ledger.outbox.unsent(target.name, most_attempts=most_attempts):
        log.warning("%d messages for %s wait for the next run", len(left), target.name)


def _batches(messages: Sequence[Record], size: int) -> list[Sequence[Record]]:
    return [messages[start : start + size] for start in range(0, len(messages), size)]
