import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from web.incoming import MAX_HEAD_BYTES, Incoming

HEAD = b"POST /prediction HTTP/1.1\r\nHost: x\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = {
    "without a body": b"GET / HTTP/1.1\r\n\r\n",
    "after an empty line": b"\r\nGET / HTTP/1.1\r\n\r\n",
    "of a given length": HEAD + b"content-length:  5 \r\n\r\n12\r\n\r",
    "of length 0": HEAD + b"Content-Length: 0\r\n\r\n",
    "in chunks": CHUNKS + b'2\r\n\r\n\r\nA; x="1"\r\n0123456789\r\n0\r\n\r\n',
    "with trailers": CHUNKS + b"1\r\n0\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
}
REFUSED = {
    "line feeds alone": b"GET / HTTP/1.1\nHost: x\n\n",
    "an endless head": b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES,
    "a body too long": HEAD + b"Content-Length: 9999999\r\n\r\n",
    "a size that is no number": CHUNKS + b"5g\r\n",
    "an endless size": CHUNKS + b"0" * 9000,
    "endless trailers": CHUNKS + b"0\r\nX: " + b"x" * 9000,
    "endless chunks": CHUNKS + b"fffffff\r\n" + b"x" * (MAX_HEAD_BYTES + 2000),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_request_is_whole_with_its_last_byte(case):
    """Not before; and gunicorn's parser reads exactly these bytes."""
    request, incoming = WHOLE[case], Incoming(1000)
    for position in range(len(request)):
        assert not incoming.is_whole, request[:position]
        incoming.feed(request[position : position + 1])

    assert incoming.is_whole
    assert incoming.take() == (request, b"")
    parser = RequestParser(Config(), iter([request + b"next"]), ("127.0.0.1", 1))
    next(parser).body.read()
    assert parser.unreader.take_buffered() == b"next"


@pytest.mark.parametrize("case", WHOLE)
def test_what_follows_a_request_belongs_to_the_next(case):
    incoming = Incoming(1000)
    incoming.feed(WHOLE[case] + b"GET /version")

    assert incoming.is_whole
    assert incoming.take() == (WHOLE[case], b"GET /version")


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_become_good_is_not_waited_for(case):
    incoming = Incoming(1000)
    incoming.feed(REFUSED[case])

    assert incoming.is_whole


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/api/v1/health", "/health?x"])
def test_probes_are_recognised(path):
    incoming = Incoming(1000)
    incoming.feed(f"GET {path} HTTP/1.1\r\n\r\n".encode())

    assert incoming.is_probe


@pytest.mark.parametrize("line", ["GET /healthy HTTP/1.1", "POST /health HTTP/1.1", "GET /ready H"])
def test_other_requests_are_no_probes(line):
    incoming = Incoming(1000)
    incoming.feed(f"{line}\r\n\r\n".encode())

    assert not incoming.is_probe
