import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from risk import lazily

ROOT = Path(__file__).parents[2]


def test_nothing_is_imported_before_it_is_used():
    """In a process of its own; in this one, everything is imported."""
    code = (
        "import sys\n"
        "from risk.lazily import pandas as pd\n"
        "print('pandas' in sys.modules)\n"
        "pd.DataFrame\n"
        "print('pandas' in sys.modules)\n"
    )

    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert result.stdout.split() == ["False", "True"], result.stderr


def test_a_package_is_imported_once_for_all_threads():
    """Eight requests of a server that has just started use it at the same time."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from risk.lazily import pandas as pd\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    kinds = set(pool.map(lambda n: pd.DataFrame({'n': [n]}).__class__, range(64)))\n"
        "print(len(kinds))\n"
    )

    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert result.stdout.split() == ["1"], result.stderr


def test_what_is_used_is_that_of_the_package():
    """So it can be compared, caught and pickled like any other."""
    assert lazily.pandas.DataFrame is pd.DataFrame
    assert lazily.pandas.errors is pd.errors
    assert pickle.loads(pickle.dumps(lazily.pandas.Index([1]))).equals(pd.Index([1]))


@pytest.mark.parametrize("name", sorted({*lazily.__all__}))
def test_an_unknown_name_is_an_error(name):
    """The one of the package itself."""
    with pytest.raises(AttributeError, match=f"{name.replace('_', '.')}.*nonsense"):
        getattr(getattr(lazily, name), "nonsense")  # noqa: B009
