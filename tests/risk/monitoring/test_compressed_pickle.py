import pickle

import numpy as np

from risk.monitoring import compressed_pickle


def test_it_is_read_as_any_pickle_and_smaller():
    """A version that knows nothing of the compression reads a release of this one."""
    table = np.random.default_rng(0).normal(size=20_000)
    content = ([table] + [table.copy() for _ in range(9)], {"a": None})

    pickled = compressed_pickle.dumps(content)

    copies, other = pickle.loads(pickled)
    assert all(np.array_equal(copy, table) for copy in copies)
    assert other == {"a": None}
    assert len(pickled) < len(pickle.dumps(content)) / 4
