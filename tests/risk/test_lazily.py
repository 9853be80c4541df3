import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from risk import lazily

ROOT = Path(__file__).parents[2]
SPARED = {*lazily.SPARED}


def printed_by(code):
    """Return what a new process prints, in which nothing is imported yet."""
    start = f"import sys\nfrom risk import lazily\nSPARED = {SPARED}\n"
    command = [sys.executable, "-c", start + code]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_nothing_is_imported_before_it_is_used():
    """In a process of its own; in this one, everything is imported."""
    printed = printed_by(
        "from risk.lazily import pandas as pd\n"
        "print('pandas' in sys.modules)\n"
        "pd.DataFrame\n"
        "print('pandas' in sys.modules)\n"
    )

    assert printed.split() == ["False", "True"]


def test_a_package_is_imported_once_for_all_threads():
    """Eight requests of a server that has just started use it at the same time."""
    printed = printed_by(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from risk.lazily import pandas as pd\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    kinds = set(pool.map(lambda n: pd.DataFrame({'n': [n]}).__class__, range(64)))\n"
        "print(len(kinds))\n"
    )

    assert printed.split() == ["1"]


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


def test_scikit_learn_and_seaborn_do_without_parts_of_scipy():
    """A model is unpickled, and predicts; a heatmap is drawn."""
    printed = printed_by(
        "lazily.import_sparing('sklearn')\n"
        "import pickle\n"
        "import numpy as np\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression().fit([[0], [1], [2], [3]], [0, 0, 1, 1])\n"
        "print(pickle.loads(pickle.dumps(model)).predict([[0], [3]]).tolist())\n"
        "lazily.import_sparing('seaborn')\n"
        "import seaborn\n"
        "print(len(seaborn.heatmap(np.eye(2)).collections))\n"
        "print(SPARED & sys.modules.keys())\n"
    )

    assert printed.splitlines() == ["[0, 1]", "1", "set()"]


def test_what_was_spared_is_there_when_it_is_called():
    """The same answers as of a process that imported everything at once."""
    use = (
        "import numpy as np\n"
        "from sklearn import covariance, isotonic, metrics, preprocessing\n"
        "x, y = np.array([[0.1, 3], [4, 1], [2, 2.5], [7, 0], [1, 1]]), [0, 1, 0, 1, 1]\n"
        "print(metrics.auc([0, 1, 2], [0, 1, 1]))\n"
        "print(metrics.label_ranking_average_precision_score([[1, 0]], [[0.3, 0.9]]))\n"
        "print(metrics.pairwise.pairwise_distances(x, metric='chebyshev').sum())\n"
        "print(isotonic.check_increasing(x[:, 0], y))\n"
        "print(preprocessing.PowerTransformer().fit_transform(x).round(6).tolist())\n"
        "print(preprocessing.SplineTransformer(n_knots=2).fit_transform(x).sum().round(9))\n"
        "print(covariance.MinCovDet(random_state=0).fit(x).location_.tolist())\n"
        "import scipy.stats\n"
        "print(scipy.stats.norm.cdf(0), scipy.stats.mstats.mode([1, 1, 2]).mode)\n"
    )

    spared, at_once = (printed_by(how + use) for how in ("lazily.import_sparing('sklearn')\n", ""))

    assert len(spared.splitlines()) == 8
    assert spared == at_once


def test_a_part_is_the_part_itself_for_everyone_else():
    """Its submodules are found, and its objects pickled, as if nothing had stood in its place."""
    printed = printed_by(
        "lazily.import_sparing('sklearn')\n"
        "import importlib\n"
        "import pickle\n"
        "from scipy.stats.distributions import norm\n"
        "import scipy.stats\n"
        "print(norm is scipy.stats.norm)\n"
        "print(pickle.loads(pickle.dumps(scipy.stats.norm(1, 2))).mean())\n"
        "parts = [importlib.import_module(name) for name in SPARED]\n"
        "print({type(part).__name__ for part in parts})\n"
        "print(all(getattr(scipy, part.__name__[6:]) is part for part in parts))\n"
    )

    assert printed.splitlines() == ["True", "1.0", "{'module'}", "True"]


def test_a_version_that_needs_more_of_a_part_gets_it(tmp_path):
    """A name that was not foreseen, and a module within a part."""
    (tmp_path / "name.py").write_text("from scipy.stats import rv_continuous\n")
    (tmp_path / "within.py").write_text("from scipy.stats.mstats import mquantiles\n")

    printed = printed_by(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "lazily.USERS |= {'name': ['name'], 'within': ['within']}\n"
        "for package in ('within', 'name'):\n"
        "    lazily.import_sparing(package)\n"
        "import name\n"
        "import within\n"
        "import scipy.stats\n"
        "print(name.rv_continuous is scipy.stats.rv_continuous)\n"
        "print(within.mquantiles is scipy.stats.mstats.mquantiles)\n"
    )

    assert printed.split() == ["True", "True"]


def test_threads_may_spare_at_the_same_time():
    """The first requests to a server; one of them needs all of `scipy.stats`."""
    printed = printed_by(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def use(n):\n"
        "    if n == 3:\n"
        "        from scipy.stats import norm\n"
        "        return float(norm.cdf(0))\n"
        "    lazily.import_sparing('sklearn')\n"
        "    from sklearn.metrics import auc\n"
        "    return float(auc([0, 1], [0, 1]))\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print({*pool.map(use, range(16))})\n"
    )

    assert printed.split() == ["{0.5}"]


@pytest.mark.parametrize(
    ("part", "name"),
    [(part, name) for part, names in lazily.SPARED.items() for name in sorted(names)],
)
def test_what_is_spared_exists(part, name):
    """So that a misspelt or removed name is noticed."""
    assert hasattr(__import__(part, fromlist=[name]), name)
