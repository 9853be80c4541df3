import ast
import graphlib
import io
import os
import re
import statistics
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ["ingestion", "training", "scoring", "deployment", "diagnostics", "reporting"]
# from the ground up: each may import only what stands before it
LAYERS = [
    ["risk"],
    ["risk.errors", "risk.progress"],
    ["risk.stats"],
    ["risk.addresses", "risk.overrides", "risk.labels", "risk.lazily"],
    ["risk.config"],
    ["risk.engine"],
    ["risk.numerals"],
    ["risk.schema"],
    ["risk.store"],
    ["risk.ledger", "risk.mails"],
    ["risk.cli"],
    ["risk.data"],
    ["risk.models"],
    ["risk.monitoring"],
    ["risk.decisions"],
    ["risk.explain"],
    ["risk.notify"],
    ["risk.figures"],
    ["risk.report"],
    ["risk.admin"],
    ["risk.fleet"],
    STAGES,
    ["web"],
    ["app", "api_calls"],
    ["full_process", "wsgi"],
]
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}
SCRIPTS = sorted(ROOT / f"{name}.py" for name in LAYER if (ROOT / f"{name}.py").exists())
PACKAGE = [p for p in sorted((ROOT / "risk").rglob("*.py")) if "migrations" not in p.parts]
WEB = sorted((ROOT / "web").glob("*.py"))
MODULES = [*SCRIPTS, *PACKAGE, *WEB]
FAR_PACKAGES = {  # what only some packages know: SQL, HTTP, drawing, clusters
    "sqlalchemy": ("risk.ledger", "risk.data.sql_sources", "risk.admin"),
    "alembic": ("risk.ledger",),
    "flask": ("web", "app"),
    "flask_openapi": ("web", "app"),
    "werkzeug": ("web", "app"),
    "matplotlib": ("risk.figures", "risk.report"),
    "reportlab": ("risk.figures", "risk.report"),
    "dask": ("risk.engine",),
    "distributed": ("risk.engine",),
}
DECLARATIONS = ["risk/config.py", "risk/ledger/tables.py", "web/response_models.py"]
WITHOUT_IMPORT = {"wsgi"}  # reads the settings when imported: that is what it is for


def name_of(path):
    return str(path.relative_to(ROOT))


@cache
def nodes_of(path):
    """Return everything a module consists of; each is parsed once for all tests."""
    return list(ast.walk(ast.parse(path.read_text())))


def of_each(rule):
    """Return what a rule finds in each module in which it finds anything."""
    return {name_of(path): found for path in MODULES if (found := rule(path))}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_of(path): path for path in MODULES}


def package_of(module):
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "risk" else parts[0]


def imports(path):
    """Name every module a file imports, at whatever depth of it."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else str(node.module)


def own_imports(path):
    return {name for name in imports(path) if name in NAMES}


def test_every_module_has_a_place_in_the_order():
    """A new package is put where it belongs, not anywhere; the picture shows it."""
    picture = (ROOT / "docs" / "layers.svg").read_text()
    drawn = re.findall(r'">([a-z_]+)(?:/|\.py)?</text>', picture.split("commands</text>")[1])

    assert {package_of(module) for module in NAMES} == set(LAYER)
    assert {name.removeprefix("risk.") for name in LAYER} - {"risk"} <= set(drawn)


def test_imports_point_one_way():
    """Each package imports from those before it alone, stages nothing from each other."""

    def against_the_order(path):
        own = package_of(module_of(path))
        others = {name: package_of(name) for name in own_imports(path)}
        return [n for n, other in others.items() if other != own and LAYER[other] >= LAYER[own]]

    assert of_each(against_the_order) == {}


def test_no_modules_import_each_other_in_a_circle():
    """Neither at the top nor within a function; a package's own file counts for all it holds."""
    graph = {}
    for module, path in NAMES.items():
        targets = own_imports(path)
        parents = {name.rsplit(".", 1)[0] for name in targets if "." in name}
        graph[module] = {n for n in targets | parents if not module.startswith(f"{n}.")}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_foreign_packages_stay_where_they_belong():
    """SQL is written in the ledger, where sources are read and where a person looks after both."""

    def misplaced(path):
        module = module_of(path)
        foreign = {name.split(".")[0] for name in imports(path)} & FAR_PACKAGES.keys()
        return [
            name
            for name in foreign
            if not any(f"{module}.".startswith(f"{home}.") for home in FAR_PACKAGES[name])
        ]

    assert of_each(misplaced) == {}


def test_formulas_know_arrays_only():
    """What is in `risk/stats` could be another project's."""
    for path in (ROOT / "risk" / "stats").glob("*.py"):
        assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"pandas", "sklearn"})


def test_a_package_has_no_content_of_its_own():
    """Whoever imports one module of it does not wait for the others."""
    for path in (path for path in PACKAGE if path.name == "__init__.py"):
        statements = ast.parse(path.read_text()).body[1:]

        assert not statements or path.parent.name == "risk", path


def test_only_the_store_writes_files():
    """One place knows how to write so that a crash leaves no half."""
    for path in MODULES:
        calls = [node for node in nodes_of(path) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls}

        allowed = {"store.py": {"fdopen", "to_parquet"}, "drops.py": {"fdopen"}}
        writers = {"write_text", "write_bytes", "to_parquet", "fdopen"}
        assert not names & (writers - allowed.get(path.name, set())), path


def test_importing_reads_no_setting_and_writes_nothing(tmp_path):
    """Every module imports in an empty folder, without an environment, and leaves it empty."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if path.stem not in WITHOUT_IMPORT
    ]
    monitored = (
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith(('.json', '.csv', '.sqlite')):\n"
        "        if 'site-packages' not in str(arguments[0]):\n"
        "            raise SystemExit(f'opened {arguments[0]}')\n"
        "sys.addaudithook(hook)\n"
    )

    result = subprocess.run(
        [sys.executable, "-B", "-c", f"{monitored}import {', '.join(names)}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr
    assert not any(tmp_path.iterdir())


def test_pandas_is_imported_when_it_is_used():
    """Most modules may use it, and a run without new data does not."""
    at_once = of_each(lambda path: [n for n in imports(path) if n.split(".")[0] == "pandas"])

    assert at_once.keys() == {"risk/lazily.py"}


def test_a_run_without_new_data_loads_no_heavy_package():
    """Cron comes 144 times a day; what a run without new data does not need waits."""
    heavy = {"sklearn", "matplotlib", "seaborn", "scipy.special", "requests", "alembic"}
    heavy |= {"sqlalchemy.dialects.mysql", "pandas", "pyarrow"}
    check = f"import sys, full_process; print({heavy} & set(sys.modules))"

    result = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "set()"


def code_lines(path):
    """Count lines that are neither blank, comment nor docstring."""
    source = path.read_text()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped | {tokenize.ENDMARKER}:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in nodes_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, node.end_lineno + 1))  # also below a setting
    return len(lines)


def functions(path):
    return [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef)]


def body_lines(function):
    first = (
        function.body[1]
        if ast.get_docstring(function) and len(function.body) > 1
        else function.body[0]
    )
    return function.end_lineno - first.lineno + 1


def test_modules_stay_small():
    """150 code lines for a stage, 250 for a module, 450 where it mostly declares.

    docs/adr/0009 names the exception.
    """
    exceptions = {"api_calls.py": 160} | dict.fromkeys(DECLARATIONS, 450)

    def too_many_lines(path):
        limit = exceptions.get(name_of(path), 150 if path.parent == ROOT else 250)
        return max(code_lines(path) - limit, 0)

    assert of_each(too_many_lines) == {}


def test_functions_stay_small():
    """Median, 90th percentile and maximum of a body: 8, 25 and 45 lines."""
    lengths = [body_lines(function) for path in MODULES for function in functions(path)]

    assert statistics.median(lengths) <= 8
    assert statistics.quantiles(lengths, n=10)[-1] <= 25
    assert max(lengths) <= 45


def test_functions_take_few_parameters():
    """At most five; `self` and `cls` do not count."""

    def n_parameters(function):
        given = function.args
        names = {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
        return len(names - {"self", "cls"})

    def with_many(path):
        return [each.name for each in functions(path) if n_parameters(each) > 5]

    assert of_each(with_many) == {}


def test_broad_handlers_are_four():
    """One records a failed run, one keeps a faulty report from hiding what a run did.

    Two, one in each phase, keep the fault of one model from the others of its fleet.
    """
    broad = [
        (path.name, node.lineno)
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    ]

    assert [name for name, _ in broad] == ["reporting.py", "run.py", "run.py", "send.py"]


def test_nothing_runs_a_shell():
    """The mirror copied with `cp` and measured with os.system."""
    for path in MODULES:
        text = path.read_text()

        assert "shell=True" not in text
        assert "os.system" not in text
