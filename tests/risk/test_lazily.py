import pickle
import subprocess
import sys
from importlib.metadata import version
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
    """A model and trees are unpickled, and predict; a heatmap is drawn."""
    printed = printed_by(
        "lazily.import_sparing('sklearn')\n"
        "import pickle\n"
        "import numpy as np\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression().fit([[0], [1], [2], [3]], [0, 0, 1, 1])\n"
        "print(pickle.loads(pickle.dumps(model)).predict([[0], [3]]).tolist())\n"
        "from sklearn.ensemble import HistGradientBoostingRegressor\n"
        "trees = HistGradientBoostingRegressor(max_iter=1).fit([[0]] * 50, [1] * 50)\n"
        "print(pickle.loads(pickle.dumps(trees)).predict([[0]]).tolist())\n"
        "lazily.import_sparing('seaborn')\n"
        "import seaborn\n"
        "print(len(seaborn.heatmap(np.eye(2)).collections))\n"
        "print(SPARED & sys.modules.keys())\n"
    )

    assert printed.splitlines() == ["[0, 1]", "[1.0]", "1", "set()"]


def test_a_figure_as_pdf_needs_no_subset_of_a_font_file():
    """As its letters are embedded as drawings; those embedded as a font are there if asked for."""
    use = (
        "import io\n"
        "from matplotlib.figure import Figure\n"
        "import matplotlib\n"
        "lazily.import_sparing(lazily.PDF)\n"
        "def written(kind):\n"
        "    figure, content = Figure(), io.BytesIO()\n"
        "    figure.text(0, 0, 'letters')\n"
        "    with matplotlib.rc_context({'pdf.fonttype': kind}):\n"
        "        figure.savefig(content, format='pdf')\n"
        "    return content.getvalue()\n"
        "print(b'/Type3' in written(3), 'fontTools.subset' in sys.modules)\n"
        "print(b'/FontFile2' in written(42), 'fontTools.subset' in sys.modules)\n"
    )

    assert printed_by(use).splitlines() == ["True False", "True True"]


def test_figures_need_no_list_of_their_properties():
    """Properties are set by all of their names; who asks for the list afterwards gets it."""
    printed = printed_by(
        "lazily.import_sparing('seaborn')\n"
        "from matplotlib.artist import kwdoc\n"
        "from matplotlib.lines import Line2D\n"
        "print(Line2D.set.__doc__)\n"
        "line = Line2D([0, 1], [0, 1])\n"
        "line.set(lw=3, color='red')\n"
        "print(line.get_linewidth(), line.get_color(), 'linewidth' in kwdoc(Line2D))\n"
        "class Own(Line2D): pass\n"
        "own = Own([0, 1], [0, 1])\n"
        "own.set(lw=2)\n"
        "from matplotlib.artist import Artist\n"
        "class Another(Artist): pass\n"
        "print(own.get_linewidth(), 'alpha' in Another.set.__doc__)\n"
    )

    assert printed.splitlines() == ["None", "3.0 red True", "2.0 True"]


def test_special_functions_need_no_table_of_array_libraries():
    """Those imported for scikit-learn; functions that are decorated afterwards get theirs."""
    printed = printed_by(
        "lazily.import_sparing('sklearn')\n"
        "import scipy.special\n"
        "from scipy._lib._array_api import xp_capabilities\n"
        "print(scipy.special.expit(0), 'logistic sigmoid' in scipy.special.expit.__doc__)\n"
        "print('Array API' in scipy.special.expit.__doc__)\n"
        "def own(): 'Own.'\n"
        "print('Array API' in xp_capabilities()(own).__doc__)\n"
    )

    assert printed.splitlines() == ["0.5 True", "False", "True"]


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
        "from sklearn.linear_model import LogisticRegression\n"
        "print(LogisticRegression().fit(x, [0, 1, 2, 1, 0]).predict_proba(x).round(6).tolist())\n"
        "from sklearn.impute import KNNImputer\n"
        "gaps = np.where(x == 4, np.nan, x)\n"
        "print(KNNImputer(n_neighbors=2, weights='distance').fit_transform(gaps).tolist())\n"
        "from sklearn.neighbors import KNeighborsClassifier\n"
        "print(KNeighborsClassifier(3).fit(x, y).predict(x).tolist())\n"
        "from scipy.optimize import _remove_redundancy\n"
        "print(_remove_redundancy.interp_decomp(np.diag([3.0, 2, 1]), 2, rand=False)[0])\n"
        "import numpy.f2py\n"
        "print(np.f2py.get_include.__name__, np.f2py is sys.modules['numpy.f2py'])\n"
        "lazily.import_sparing('seaborn')\n"
        "import seaborn\n"
        "print(seaborn.clustermap(x).dendrogram_row.reordered_ind)\n"
        "print(len(seaborn.kdeplot(x=x[:, 0]).lines))\n"
        "import scipy.stats\n"
        "print(scipy.stats.norm.cdf(0), scipy.stats.mstats.mode([1, 1, 2]).mode)\n"
    )

    spared, at_once = (printed_by(how + use) for how in ("lazily.import_sparing('sklearn')\n", ""))

    assert len(spared.splitlines()) == 15
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
        "from pkgutil import resolve_name\n"
        "print(all(resolve_name(part.__name__) is part for part in parts))\n"
    )

    assert printed.splitlines() == ["True", "1.0", "{'module'}", "True"]


def test_what_nobody_foresaw_is_the_part_itself(tmp_path):
    """A class that is inherited from, and a function that is called by the import."""
    (tmp_path / "hasty.py").write_text(
        "from scipy.stats import rankdata, rv_continuous\n"
        "class Own(rv_continuous): pass\n"
        "RANKS = rankdata([3, 1, 2]).tolist()\n"
    )

    printed = printed_by(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "lazily.USERS['hasty'] = (['hasty'], ['scipy'])\n"
        "lazily.import_sparing('hasty')\n"
        "import hasty\n"
        "import scipy.stats\n"
        "print(hasty.RANKS, hasty.rv_continuous is scipy.stats.rv_continuous)\n"
    )

    assert printed.strip() == "[3.0, 1.0, 2.0] True"


def test_the_installed_versions_are_known():
    """If this fails, see what the new ones ask for, and add them."""
    assert all(version(package) in known for package, known in lazily.KNOWN.items())


@pytest.mark.parametrize("package", lazily.KNOWN)
def test_versions_that_are_not_known_are_imported_as_usual(package):
    printed = printed_by(
        f"lazily.KNOWN[{package!r}] = {{'0.1'}}\n"
        "lazily.import_sparing('sklearn')\n"
        "print('sklearn' in sys.modules)\n"
    )

    assert printed.strip() == "False"


def test_threads_import_as_usual():
    """Those of a server, of which another may need such a part at the same time."""
    printed = printed_by(
        "from threading import Thread\n"
        "thread = Thread(target=lazily.import_sparing, args=('sklearn',))\n"
        "thread.start()\n"
        "thread.join()\n"
        "print('sklearn' in sys.modules)\n"
    )

    assert printed.strip() == "False"


def test_what_stands_for_a_function_can_be_copied_and_pickled():
    """As joblib does with the functions of a module."""
    printed = printed_by(
        "lazily.import_sparing('sklearn')\n"
        "import copy\n"
        "import pickle\n"
        "from sklearn.metrics._ranking import rankdata\n"
        "print(copy.deepcopy(rankdata)([2, 1]).tolist())\n"
        "print(pickle.loads(pickle.dumps(rankdata))([2, 1]).tolist())\n"
    )

    assert printed.splitlines() == ["[2.0, 1.0]", "[2.0, 1.0]"]


@pytest.mark.parametrize(
    ("part", "name"),
    [(part, name) for part, names in lazily.SPARED.items() for name in sorted(names)],
)
def test_what_is_spared_exists(part, name):
    """So that a misspelt or removed name is noticed."""
    assert hasattr(__import__(part, fromlist=[name]), name)
