"""The body of a request to predict rows: its bytes within the limits, and its JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
from flask import request
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from risk import schema
from risk.config import Api, Columns

JSON, CSV = "application/json", "text/csv"
TOKENS = {  # strings, which may contain separators, and separators outside of them
    JSON: re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[,\[{]', re.DOTALL),
    CSV: re.compile(rb'"[^"]*+"?|[,\r\n]'),
}
COLONS = ('":', " :", "\n:", "\r:", "\t:")  # a key's, and few others


def read(columns: Columns, limits: Api) -> bytes:
    """Return the body; refuse other media types or charsets, too many bytes or values."""
    if request.mimetype not in TOKENS:
        raise UnsupportedMediaType(f"the Content-Type must be {JSON} or {CSV}")
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("the charset must be utf-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("the body must not be compressed")
    request.max_content_length = limits.max_body_bytes + 1  # a longer one may be truncated
    body = request.get_data(cache=False)
    if len(body) > limits.max_body_bytes:
        raise RequestEntityTooLarge(f"more than max_body_bytes = {limits.max_body_bytes} bytes")
    max_values = (limits.max_rows + 2) * (len(columns.all) + 2)
    if _holds_more(body, max_values):
        raise too_many_rows(limits)
    return body


def parse_json(body: bytes) -> Any:
    """Return the content of a JSON body."""
    try:
        text = body.decode("utf-8-sig")
        with suppress(ValueError):  # which is told below, unless an object before repeats a key
            content = from_json(text, allow_inf_nan=False)  # json.loads, in two thirds of its time
            if _have_each_key_once(content, text):
                return content
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise not_text(error) from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def not_text(error: UnicodeDecodeError) -> BadRequest:
    """Return the error that names the first byte that is not UTF-8."""
    return BadRequest(f"the body is not UTF-8 text: byte 0x{error.object[error.start]:02x}")


def too_many_rows(limits: Api) -> RequestEntityTooLarge:
    """Return the error that names the limit."""
    message = f"the body has more than max_rows = {limits.max_rows} rows of the declared columns"
    return RequestEntityTooLarge(message)


def _holds_more(body: bytes, max_values: int) -> bool:
    """Return whether there are more values than allowed, before they take memory."""
    separators = b",[{" if request.mimetype == JSON else b",\r\n"
    characters = np.frombuffer(body, dtype="uint8")
    if sum(np.count_nonzero(characters == separator) for separator in separators) <= max_values:
        return False
    tokens = TOKENS[request.mimetype].finditer(body)
    outside = (token for token in tokens if token[0] in separators)
    return next(islice(outside, max_values, None), None) is not None


def _have_each_key_once(content: Any, text: str) -> bool:
    """Return whether this is a list of objects that plainly repeat no key: each has its colon."""
    if not isinstance(content, list) or set(map(type, content)) != {dict}:
        return False
    n_keys = sum(map(len, content))
    return n_keys == text.count(":") or n_keys == sum(map(text.count, COLONS))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {schema.shorten(repeated)!r} more than once")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number; use null for a missing value")
