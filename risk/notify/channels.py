"""Where messages go, by names without secrets, and how each kind of target is reached."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from risk.config import Config
from risk.ledger.database import Record
from risk.notify import announcements
from risk.notify.announcements import MAX_TITLE_LENGTH, Announcement

BETWEEN_URLS = re.compile(r"[\s,;]+(?=[a-z0-9]{1,32}://)", re.IGNORECASE)
SCHEME = re.compile(r"[a-z0-9]{1,32}(?=://)", re.IGNORECASE)
HOST = re.compile(r"(?<=://)(?:[^/?#]*@)?([^/?#@:]{1,200})")
PASSWORD = re.compile(r"(?<=:)[^:@/]*(?=@)|(?<=[?&]pass=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True)
class People:
    """One address of apprise's: a mailbox, a chat, a telephone. All news come as one message."""

    name: str
    address: SecretStr
    sender: str
    footer: str
    most_at_once: int = 20

    def write(self, announcement: Announcement) -> str:
        """Write what a person can act on."""
        return announcement.text

    def deliver(self, messages: Sequence[Record], timeout: float) -> str | None:
        """Send messages as one; return what went wrong, without any secret."""
        import apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs parts of addresses
        asset = apprise.AppriseAsset(app_id=self.sender, http_redirects=False)
        service = apprise.Apprise.instantiate(self.address.get_secret_value(), asset=asset)
        if service is None:
            return "this is no address that apprise knows"
        service.socket_connect_timeout = service.socket_read_timeout = timeout
        service.overflow_mode = apprise.OverflowMode.SPLIT
        everybody = apprise.Apprise(service, asset=asset)
        result = everybody.notify(
            title=self._title(messages),
            body=self._body(messages),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=timeout,
        )
        return None if result else f"apprise reports a {result.status.name.lower()}"

    def _title(self, messages: Sequence[Record]) -> str:
        done_first = sorted(messages, key=lambda message: message.incident_id is not None)
        titles = f"[{self.sender}] {'; '.join(message.title for message in done_first)}"
        placeholder = f" ... ({len(messages)} messages)"
        return textwrap.shorten(titles, MAX_TITLE_LENGTH, placeholder=placeholder)

    def _body(self, messages: Sequence[Record]) -> str:
        if len(messages) == 1:
            return f"{messages[0].body}\n\n{self.footer}"
        numbered = [f"{n}. {m.title}\n\n{m.body}" for n, m in enumerate(messages, start=1)]
        return "\n\n\n".join([*numbered, self.footer])


@dataclass(frozen=True)
class Machine:
    """A webhook: each event is one signed POST of JSON."""

    name: str
    address: SecretStr
    secret: SecretStr
    most_at_once: int = 1

    def write(self, announcement: Announcement) -> str:
        """Write what a program can read."""
        return json.dumps(announcement.content)

    def deliver(self, messages: Sequence[Record], timeout: float) -> str | None:
        """Post one event; only 2xx counts as taken, and nobody is redirected elsewhere."""
        import requests

        (message,) = messages
        content = json.dumps({"id": message.id, **json.loads(message.body)}).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Risk-Delivery": str(message.id),
            "X-Risk-Timestamp": timestamp,
            "X-Risk-Signature": f"sha256={sign(content, timestamp, self.secret)}",
        }
        url = self.address.get_secret_value()
        try:
            with requests.post(
                url,
                data=content,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                stream=True,  # what it says besides its status is of no interest
            ) as answer:
                status = answer.status_code
        except requests.Timeout:
            return f"no answer within {timeout:g} seconds"
        except (OSError, ValueError) as error:  # a fault of requests is an OSError
            return f"cannot be reached ({type(error).__name__})"
        return None if 200 <= status < 300 else f"it answers {status}"


Target = People | Machine


def targets(config: Config) -> list[Target]:
    """Name everybody the environment says is to be told, each once."""
    found: list[Target] = []
    if config.notify_urls:
        found += [_people(url, config) for url in split(config.notify_urls.get_secret_value())]
    if config.webhook_url and config.webhook_secret:
        url = config.webhook_url.get_secret_value()
        host = HOST.search(url)
        name = f"webhook {host[1] if host else 'nowhere'} {_digest(url)}"
        found.append(Machine(name, config.webhook_url, config.webhook_secret))
    return list({target.name: target for target in found}.values())


def split(urls: str) -> list[str]:
    """Take addresses apart as apprise does, which is not imported where nothing is to be sent."""
    return [url for url in BETWEEN_URLS.split(urls.strip()) if url]


def sign(content: bytes, timestamp: str, secret: SecretStr) -> str:
    """Return the HMAC by which a receiver knows who sent this, and when."""
    key = secret.get_secret_value().encode()
    return hmac.new(key, timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()


def _people(url: str, config: Config) -> People:
    """Name an address by its scheme only: in many, the tokens stand where a host would."""
    scheme = SCHEME.match(url)
    name = f"{scheme[0].lower() if scheme else 'unknown'} {_digest(url)}"
    sender, footer = config.root.name, announcements.footer(config)
    return People(name, SecretStr(url), sender, footer)


def _digest(url: str) -> str:
    """Tell addresses apart; a password is short enough to be guessed, so it is left out."""
    return hashlib.sha256(PASSWORD.sub("", url).encode()).hexdigest()[:8]
