"""The worker of gunicorn: its event loop receives requests, its threads only answer whole ones.

So a client that sends slowly, or never finishes, occupies a connection but no thread. Probes have
a thread of their own, so that they are answered while all others compute.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import http  # type: ignore[import-untyped]
from gunicorn.workers.gthread import (  # type: ignore[import-untyped]
    STOP_KEEPALIVE_LINGER,
    TConn,
    ThreadWorker,
)

from web.incoming import Incoming

SECONDS_FOR_HEAD = 10
SECONDS_FOR_BODY = 60
SECONDS_FOR_SENDING = 10  # of a response, without progress
SECONDS_TO_CLOSE = 2
SECONDS_PER_TURN = 0.0005  # of a thread that computes, before another one may
BYTES_AT_ONCE = 65_536
BODIES_IN_MEMORY = 4
NOT_NOW = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSAL = "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Received:
    """A received request in place of a socket: it ends where the request ends."""

    def __init__(self) -> None:
        self._content = b""
        self._position = 0
        self.is_exhausted = False

    def put(self, request: bytes) -> None:
        """Offer the next request."""
        self._content, self._position = request, 0

    def recv(self, size: int) -> bytes:
        """Return the next bytes; note if more than the request is wanted."""
        data = self._content[self._position : self._position + size]
        self._position += len(data)
        self.is_exhausted |= not data
        return data

    @property
    def is_consumed(self) -> bool:
        """Whether exactly the request was read."""
        return self._position == len(self._content) and not self.is_exhausted


class Connection(TConn):  # type: ignore[misc]
    """A connection, what it has sent of its next request, and until when to wait for the rest."""

    def __init__(self, worker: Worker, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        timeout = struct.pack("ll", SECONDS_FOR_SENDING, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self.data_ready = True
        self.source = Received()
        self.parser = http.get_parser(self.cfg, self.source, client)
        self.incoming = Incoming(worker.max_body_bytes)
        self.deadline = 0.0
        self.is_permitted = False

    def expect(self) -> None:
        """Wait for another request."""
        self.incoming = Incoming(self.incoming.max_body_bytes)
        self.deadline = time.monotonic() + SECONDS_FOR_HEAD
        self.is_permitted = False

    def permit_body(self) -> None:
        """Give a body more time than a head, and permission to be sent."""
        self.deadline += SECONDS_FOR_BODY
        self.is_permitted = True
        if self.incoming.expects_permission:
            self.say(CONTINUE)

    def say(self, message: bytes) -> None:
        """Send a few bytes, if the client takes them at once."""
        with suppress(OSError):
            self.sock.send(message)


class Worker(ThreadWorker):  # type: ignore[misc]
    """A threaded worker that hands whole requests to its threads, and serves all it accepted."""

    max_body_bytes = 64_000_000
    has_closed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiving: dict[Connection, None] = {}  # in the order of their arrival
        self.closing: dict[Connection, None] = {}

    def init_process(self) -> None:
        """Start the thread for probes as well, and let it wait less for those that compute."""
        sys.setswitchinterval(SECONDS_PER_TURN)
        self.probes = ThreadPoolExecutor(1)
        super().init_process()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept pending connections before the sockets are closed for good."""
        super().set_accept_enabled(enabled)
        # called twice if the signal comes while the worker starts: closed sockets accept nothing
        if not self.alive and not self.has_closed:
            self.has_closed = True
            while (
                self.nr_conns < self.worker_connections
                and select.select(self.sockets, [], [], 0)[0]
            ):
                for listener in self.sockets:
                    self.accept(listener)
            for listener in self.sockets:
                listener.close()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, at the expense of the one that has been sending for longest."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno not in NOT_NOW:
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections and self.receiving:
            self._refuse(next(iter(self.receiving)), "503 Service Unavailable")
        self._receive(Connection(self, sock, client, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Let a thread answer a request that has been received."""
        pool = self.probes if conn.incoming.is_probe else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def on_client_socket_readable(self, conn: Connection, sock: socket.socket) -> None:
        """Receive another request on a connection that was kept."""
        self.poller.unregister(sock)
        self.keepalived_conns.remove(conn)
        self._receive(conn)

    def finish_request(self, conn: Connection, done: Future[bool]) -> None:
        """Keep the connection for its next request, or close it.

        It is closed also if the request was not read to its end: what follows would be misread.
        """
        keep = not done.cancelled() and not done.exception() and done.result()
        _, surplus = conn.incoming.take()
        if not keep or not conn.source.is_consumed or conn.parser.unreader.take_buffered():
            self._close_gracefully(conn)
        elif surplus:
            self._receive(conn, surplus)
        else:
            conn.sock.setblocking(False)
            conn.set_timeout()
            if not self.alive:
                conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
            self.keepalived_conns.append(conn)
            self._await(conn, self.on_client_socket_readable)

    def murder_pending(self) -> None:
        """Close the connections that have been sending, or closing, for too long."""
        now = time.monotonic()
        for conn in [conn for conn in self.receiving if conn.deadline < now]:
            self._refuse(conn, "408 Request Timeout")
        for conn in [conn for conn in self.closing if conn.deadline < now]:
            self._drop(conn)

    def _receive(self, conn: Connection, surplus: bytes = b"") -> None:
        conn.sock.setblocking(False)
        conn.expect()
        self.receiving[conn] = None
        self._await(conn, self._read)
        if surplus:
            self._add(conn, surplus)

    def _read(self, conn: Connection, sock: socket.socket) -> None:
        try:
            data = sock.recv(BYTES_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._add(conn, data)
        else:
            self._drop(conn)

    def _add(self, conn: Connection, data: bytes) -> None:
        conn.incoming.feed(data)
        if conn.incoming.is_whole:
            del self.receiving[conn]
            self.poller.unregister(conn.sock)
            conn.source.put(conn.incoming.take()[0])
            self.enqueue_req(conn)
            return
        if conn.incoming.has_head and not conn.is_permitted:
            conn.permit_body()
        if len(conn.incoming.received) > BYTES_AT_ONCE:
            self._limit_memory()

    def _limit_memory(self) -> None:
        """Refuse the longest of the unfinished requests if they are too long together."""
        sizes = {conn: len(conn.incoming.received) for conn in self.receiving}
        if sum(sizes.values()) > BODIES_IN_MEMORY * (self.max_body_bytes + BYTES_AT_ONCE):
            self._refuse(max(sizes, key=sizes.__getitem__), "503 Service Unavailable")

    def _refuse(self, conn: Connection, status: str) -> None:
        """Close a connection, with an answer if it has begun a request."""
        if not conn.incoming.received:
            self._drop(conn)
            return
        del self.receiving[conn]
        self.poller.unregister(conn.sock)
        conn.say(REFUSAL.format(status).encode())
        self._close_gracefully(conn)

    def _close_gracefully(self, conn: Connection) -> None:
        """Wait for the client to close too, so that it can read the response to its end."""
        self.closing[conn] = None
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            conn.deadline = time.monotonic() + SECONDS_TO_CLOSE
            self._await(conn, self._discard)
        except (OSError, ValueError):  # it is closed already
            self._drop(conn)

    def _discard(self, conn: Connection, sock: socket.socket) -> None:
        try:
            if sock.recv(BYTES_AT_ONCE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(conn)

    def _await(
        self, conn: Connection, callback: Callable[[Connection, socket.socket], None]
    ) -> None:
        self.poller.register(conn.sock, EVENT_READ, partial(callback, conn))

    def _drop(self, conn: Connection) -> None:
        self.receiving.pop(conn, None)
        self.closing.pop(conn, None)
        with suppress(KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
