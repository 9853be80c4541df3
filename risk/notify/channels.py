"""Channels: targets of messages, named without secrets, and their delivery."""

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
from importlib.util import find_spec
from urllib.parse import urlsplit

from pydantic import SecretStr

from risk.config import Config
from risk.errors import ConfigError
from risk.ledger.database import Record
from risk.notify import announcements
from risk.notify.announcements import MAX_TITLE_LENGTH, Announcement

INSTALL = "python -m pip install -r requirements-messages.lock"
BETWEEN_URLS = re.compile(r"[\s,;]+(?=[a-z0-9]{1,32}://)", re.IGNORECASE)
SCHEME = re.compile(r"[a-z0-9]{1,32}(?=://)", re.IGNORECASE)
HOST = re.compile(r"(?<=://)(?:[^/?#]*@)?([^/?#@:]{1,200})")
PASSWORD = re.compile(r"(?<=:)[^:@/]*(?=@)|(?<=[?&]pass=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True)
class People:
    """An apprise URL, such as a mailbox, chat or telephone; all events as one message."""

    name: str
    address: SecretStr
    sender: str
    footer: str
    max_at_once: int = 20

    @property
    def kind(self) -> str:
        """The scheme of the address."""
        return self.name.split()[0]

    def write(self, announcement: Announcement) -> str:
        """Return the text for a person."""
        return announcement.text

    def is_usable(self) -> bool:
        """Whether apprise knows what to do with the address."""
        import apprise

        return bool(apprise.Apprise().add(self.address.get_secret_value()))

    def deliver(self, messages: Sequence[Record], timeout: float) -> str | None:
        """Send messages as one; return the error, without secrets, or None."""
        import apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs parts of addresses
        asset = apprise.AppriseAsset(app_id=self.sender, http_redirects=False)
        service = apprise.Apprise.instantiate(self.address.get_secret_value(), asset=asset)
        if service is None:
            return "apprise does not recognise this URL"
        service.socket_connect_timeout = service.socket_read_timeout = timeout
        service.overflow_mode = apprise.OverflowMode.SPLIT
        everybody = apprise.Apprise(service, asset=asset)
        result = everybody.notify(
            title=self._title(messages),
            body=self._body(messages),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=timeout,
        )
        return None if result else f"apprise reports: {result.status.name.lower()}"

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
    max_at_once: int = 1
    kind: str = "webhook"

    def write(self, announcement: Announcement) -> str:
        """Return the fields for a program, as JSON."""
        return json.dumps(announcement.content)

    def is_usable(self) -> bool:
        """Whether the address is a complete one of HTTP."""
        try:
            parts = urlsplit(self.address.get_secret_value())
            return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is no number, or a bracket is missing
            return False

    def deliver(self, messages: Sequence[Record], timeout: float) -> str | None:
        """Post one event; only 2xx counts as delivered, redirects are not followed."""
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
                stream=True,  # only its status matters
            ) as answer:
                status = answer.status_code
        except requests.Timeout:
            return f"no response within {timeout:g} seconds"
        except (OSError, ValueError) as error:  # errors of requests are OSErrors
            return f"cannot be reached ({type(error).__name__})"
        return None if 200 <= status < 300 else f"HTTP status {status}"


Target = People | Machine


def targets(config: Config) -> list[Target]:
    """Return the targets set in the environment, each once."""
    found: list[Target] = []
    if config.notify_urls:
        if find_spec("apprise") is None:
            raise ConfigError(f"RISK_NOTIFY_URLS needs the package apprise; run: {INSTALL}")
        found += [_people(url, config) for url in split(config.notify_urls.get_secret_value())]
    if config.webhook_url and config.webhook_secret:
        url = config.webhook_url.get_secret_value()
        host = HOST.search(url)
        name = f"webhook {host[1] if host else 'nowhere'} {_digest(url)}"
        found.append(Machine(name, config.webhook_url, config.webhook_secret))
    return list({target.name: target for target in found}.values())


def split(urls: str) -> list[str]:
    """Split URLs as apprise does, without importing it."""
    return [url for url in BETWEEN_URLS.split(urls.strip()) if url]


def sign(content: bytes, timestamp: str, secret: SecretStr) -> str:
    """Return the HMAC with which a receiver verifies sender and time."""
    key = secret.get_secret_value().encode()
    return hmac.new(key, timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()


def _people(url: str, config: Config) -> People:
    """Name a target by its scheme only, as many URLs contain tokens instead of a host."""
    scheme = SCHEME.match(url)
    name = f"{scheme[0].lower() if scheme else 'unknown'} {_digest(url)}"
    sender, footer = config.root.name, announcements.footer(config)
    return People(name, SecretStr(url), sender, footer)


def _digest(url: str) -> str:
    """Return a digest of a URL, without its password, which could be guessed from it."""
    return hashlib.sha256(PASSWORD.sub("", url).encode()).hexdigest()[:8]
