import json

import pytest

from risk.explain import resolutions


@pytest.mark.parametrize(
    ("code", "facts", "words", "sentence"),
    [
        ("deployed", {"version": 2, "decision_id": 7}, None, "Release 2 was deployed."),
        ("rolled_back", {"version": 1, "decision_id": 8}, None, "Rolled back to release 1."),
        ("restored", {"version": 3}, None, "The files of release 3 were restored."),
        ("passed", {}, None, "It was not observed again."),
        ("by_person", {}, None, "Resolved by a person"),
        ("by_person", {}, "the vendor mended it", "the vendor mended it"),
        ("by_person", {"key": "alice"}, "it was winter", "it was winter (by alice)"),
        ("by_person", {"by": "bob"}, "mended (by bob)", "mended (by bob)"),
        (None, None, "deploy: release 4 went live", "deploy: release 4 went live"),
        (None, None, None, ""),
    ],
)
def test_a_resolution_is_worded_from_its_code(code, facts, words, sentence):
    """A person's own words stay as they are, and so does what an earlier version wrote."""
    row = {
        "resolution_code": code,
        "resolution_facts": facts and json.dumps(facts),
        "resolution": words,
    }

    assert resolutions.of_resolution(row) == sentence
