import json

from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from web import request_body

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
            object_pairs_hook=request_body._object,
            parse_constant=request_body._refuse_constant,
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
        content = request_body.parse_json(text.encode())
    except BadRequest as error:
        content = error.description

    assert content == strictly(text)


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?", fullmatch=True
)
OTHERS = st.none() | st.booleans() | st.text() | st.characters(categories=["Cs"])
CELLS = NUMBERS | OTHERS.map(json.dumps)


@example(["-0", "-0.0", "2.2250738585072011e-308", "1e400", "9007199254740993.0"])
@given(st.lists(CELLS))
def test_a_value_is_read_as_by_the_standard_library(cells):
    """To the last bit, and of the same type."""
    text = f'[{{"a": [{", ".join(cells)}]}}]'

    assert repr(request_body.parse_json(text.encode())) == repr(json.loads(text))
