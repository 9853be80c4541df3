import json

from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from web import request_rows

KEYS = st.sampled_from(['"a"', '"b" ', '"c:"', r'"\":"', '"d"\n'])
VALUES = st.sampled_from(
    ["1", "NaN", '":"', '" :"', '"b"', "[]", '{"a": 1}', '{"a": 1, "a": 2}', "?"]
)
OBJECTS = st.lists(st.tuples(KEYS, VALUES).map(":".join)).map(
    lambda pairs: f"{{{','.join(pairs)}}}"
)
BODIES = st.lists(OBJECTS | VALUES).map(lambda items: f"[{','.join(items)}]") | OBJECTS


def strictly(text):
    """Parse with a look at the keys of each object, as the first fault is told."""
    try:
        return json.loads(
            text,
            object_pairs_hook=request_rows._object,
            parse_constant=request_rows._refuse_constant,
        )
    except ValueError as error:
        return f"the body is not JSON: {error}"


@example('[{"a":1,"a":2},"x"]')
@example('[{"a":1,"a":":"}]')
@example('[{"a":1,"a":2},{"a":?}]')
@given(BODIES)
def test_a_repeated_key_is_found_without_a_look_at_each(text):
    """Whatever else has a colon; and of two faults the first is told."""
    try:
        content = request_rows.parse_json(text.encode())
    except BadRequest as error:
        content = error.description

    assert content == strictly(text)
