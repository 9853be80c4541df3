import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cronsim import CronSim

import app
from risk import errors
from risk.admin.crontab import crontab
from risk.config import Config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = [
    "ingestion", "training", "scoring", "deployment", "diagnostics", "reporting",
    "full_process", "api_calls",
]  # fmt: skip


def cron_line():
    lines = (ROOT / "cronjob.txt").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("*")]
    return line.split(maxsplit=5)


def test_the_cron_job_runs_every_ten_minutes():
    """The mirror's ninth mistake: `* * * * 10` is no such thing."""
    from datetime import datetime, timedelta

    start = datetime(2026, 3, 1, 12, 1)
    times = CronSim(" ".join(cron_line()[:5]), start)

    moments = [next(times) for _ in range(20)]
    assert moments[0] == datetime(2026, 3, 1, 12, 10)
    steps = {later - sooner for sooner, later in zip(moments, moments[1:], strict=False)}
    assert steps == {timedelta(minutes=10)}


def test_the_cron_job_is_the_one_that_is_printed(world):
    """With a final newline, without which cron ignores the last line."""
    project = Path("/opt/churn")
    config = world.config.model_copy(update={"root": project})

    printed = crontab(config, project=project, python="/opt/churn/.venv/bin/python")

    assert (ROOT / "cronjob.txt").read_text() == f"{printed}\n"


def test_the_printed_cron_job_works_in_crons_environment(world, tmp_path_factory):
    """A bare shell in `/`, a folder whose name is full of what cron and shells interpret.

    Nothing is mailed; the log has the time of each line.
    """
    folder = tmp_path_factory.mktemp("cron") / "50% of a&b #1 'so' $HOME"
    folder.mkdir()
    for path in [*ROOT.glob("*.py"), ROOT / "requirements.txt"]:
        shutil.copy(path, folder)
    for package in ("risk", "web"):
        shutil.copytree(ROOT / package, folder / package)
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    (folder / ".env").write_text("RISK_OUTPUT_MODEL_PATH=models/of cron\n")
    line = crontab(Config.load(folder / "config.json"), project=folder).splitlines()[-1]
    schedule, command = line[:12], line[12:]
    assert schedule == "*/10 * * * *" and not re.search(r"(?<!\\)%", command)

    result = subprocess.run(
        ["/bin/sh", "-c", command.replace(r"\%", "%")],
        cwd="/",
        env={"HOME": "/", "PATH": "/usr/bin:/bin", "LOGNAME": os.environ.get("LOGNAME", "x")},
        capture_output=True,
        text=True,
    )

    log = (folder / "logs" / "cron.log").read_text()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), log
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO .*Release 1 is live", log, re.M)
    assert (folder / "models" / "of cron" / "trained_model.pkl").exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_in_the_readme(script):
    """What is not in the README does not exist for a stranger."""
    assert f"`{script}.py`" in README


def test_every_exit_code_is_in_the_readme():
    """A person with a number in a mail must find what it means."""
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.RiskError)
    }
    paragraph = README.partition("Exit codes: ")[2].partition("\n\n")[0]

    for code in codes | {0, 3}:
        assert re.search(rf"\b{code} ", paragraph), code


def test_every_classic_endpoint_is_in_the_readme(world):
    """And nothing is promised that is not there."""
    shown = set(re.findall(r"localhost:8000(/[a-z0-9/.]+)", README))
    routes = app.create_app(world.config).url_map.bind("localhost")

    diagnoses = {"/diagnostics", "/diagnostics/timing", "/diagnostics/dependencies"}
    assert {"/prediction", "/scoring", "/summarystats"} | diagnoses <= shown
    assert all(routes.test(path) for path in shown - {"/api/v1"})


def test_the_make_targets_of_the_readme_exist():
    """`make help` lists them all."""
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    for target in {*re.findall(r"make ([a-z]+)", README), "lint", "types", "serve"}:
        assert f"make {target}" in listed, target


def test_the_commands_of_the_readme_work(deployed):
    """The curl lines, asked of a real server, after a first run."""
    lines = re.findall(r"^curl .*$", README, flags=re.MULTILINE)

    with app.answering(deployed.config) as (url, _):
        for line in lines:
            command = line.replace("http://localhost:8000", url).replace("curl", "curl -sf", 1)
            answer = subprocess.run(command, shell=True, capture_output=True, text=True)
            assert answer.returncode == 0, line
            assert answer.stdout, line
    assert len(lines) >= 7


def test_the_readme_is_one_page():
    """Or little more than that."""
    assert len(README.splitlines()) <= 165


def test_no_machine_is_named():
    """Nothing in the repository points at where it was written."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert "/work" + "/" not in text, name
        assert "--find" + "-links" not in text, name


DEVELOPERS_PAGES = ["CONTRIBUTING.md", "docs/architecture.md"]


@pytest.mark.parametrize("page", DEVELOPERS_PAGES)
def test_pages_for_developers_name_files_that_exist(page):
    """A maintainer who follows them finds what they tell of."""
    text = (ROOT / page).read_text()
    places = [ROOT, ROOT / "risk", *(ROOT / "risk").iterdir()]
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", text)
    written_by_runs = ("data/", "models/", "reports/", "db/", "deployment/")

    assert named
    for name in named:
        is_there = any((place / name).exists() for place in places)
        assert is_there or name.startswith(written_by_runs), name


def test_contributing_names_code_that_exists():
    """Constants, classes and functions are where it says."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = "\n".join(
        path.read_text() for folder in ("risk", "tests") for path in (ROOT / folder).rglob("*.py")
    )
    named = set(re.findall(r"`([A-Z][A-Za-z_]+|[a-z_]+_[a-z]+)`", text)) - {"CHANGELOG"}

    assert {"score_all", "check_drops", "Finding", "REVISION", "on_every_server"} <= named
    for name in named:
        assert re.search(rf"^\s*(def |class )?{name}\b", code, re.MULTILINE), name


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/index.md", "docs/architecture.md"]
)
def test_links_lead_to_files(page):
    """Relative links are those of a clone, and work offline."""
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text())

    for link in links:
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def test_the_index_of_the_documentation_is_complete():
    """Every page of docs/ can be found from docs/index.md."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}

    assert pages == {page for page in pages if f"]({page})" in index}
