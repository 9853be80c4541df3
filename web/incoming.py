"""How much of an HTTP/1.1 request has arrived: enough to know when it can be answered.

Gunicorn parses the request. One that is framed wrongly or too long counts as whole, to be refused.
"""

from __future__ import annotations

import re

MAX_HEAD_BYTES = 65_536
MAX_LINE_BYTES = 8_192  # of a chunk's size, and of all trailers
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
EXPECTATION = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
PROBE = re.compile(rb"(?:GET|HEAD) (?:/api/v1)?/(?:health|healthz|livez)[? ]")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?", re.DOTALL)


class Incoming:
    """What a connection has sent of its next request."""

    def __init__(self, max_body_bytes: int) -> None:
        self.received = bytearray()
        self.is_whole = False
        self.max_body_bytes = max_body_bytes
        self._searched = 0
        self._end = 0  # of the head, of its last complete chunk, or of the request
        self._length: int | None = None  # of the body, unless it comes in chunks

    @property
    def has_head(self) -> bool:
        """Whether all headers have arrived."""
        return self._end > 0

    @property
    def expects_permission(self) -> bool:
        """Whether the client waits for "100 Continue" before it sends the body."""
        return self.has_head and EXPECTATION.search(self.received, 0, self._end) is not None

    @property
    def is_probe(self) -> bool:
        """Whether the request only asks if the process runs."""
        return PROBE.match(self.received) is not None

    def feed(self, data: bytes) -> None:
        """Add what was received, and look for the end of the request."""
        self.received += data
        if not self.has_head:
            self._find_head()
        if self.has_head and not self.is_whole:
            self._find_end()

    def take(self) -> tuple[bytes, bytes]:
        """Return the request, and what was received of the next one."""
        end = self._end or len(self.received)
        return bytes(self.received[:end]), bytes(self.received[end:])

    def _find_head(self) -> None:
        start = 2 if self.received.startswith(b"\r\n") else 0  # an empty line may come first
        end = self.received.find(b"\r\n\r\n", max(start, self._searched - 3))
        self._searched = len(self.received)
        if end < 0:
            has_other_line_ends = self.received.count(b"\n") > self.received.count(b"\r\n")
            self.is_whole = has_other_line_ends or len(self.received) > MAX_HEAD_BYTES
            return
        self._end = end + 4
        if not CHUNKED.search(self.received, 0, self._end):
            length = LENGTH.search(self.received, 0, self._end)
            self._length = int(length[1]) if length else 0

    def _find_end(self) -> None:
        if self._length is None:
            self._follow_chunks()
        elif self._length > self.max_body_bytes + 1:
            self._finish(self._end)  # the length alone is reason to refuse it
        elif len(self.received) >= self._end + self._length:
            self._finish(self._end + self._length)

    def _follow_chunks(self) -> None:
        """Skip the complete chunks; the body ends with the trailers after an empty one."""
        received, allowed = self.received, self._end + MAX_LINE_BYTES
        while (line_end := received.find(b"\r\n", self._end)) >= 0:
            size = CHUNK_SIZE.fullmatch(received, self._end, line_end)
            if size is None:
                return self._finish(len(received))
            if not int(size[1], 16):
                end = received.find(b"\r\n\r\n", line_end)
                if end >= 0:
                    return self._finish(end + 4)
                break
            following = line_end + 2 + int(size[1], 16) + 2
            if len(received) < following:
                allowed = self.max_body_bytes + MAX_HEAD_BYTES
                break
            self._end = following
            allowed = following + MAX_LINE_BYTES
        if len(received) > allowed:
            self._finish(len(received))

    def _finish(self, end: int) -> None:
        self._end, self.is_whole = end, True
