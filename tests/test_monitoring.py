import configparser
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from app import create_app
from risk.errors import BusyError, ConfigError

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "monitoring"
ALERTS = (MONITORING / "alerts.yml").read_text()
DASHBOARD = json.loads((MONITORING / "grafana-dashboard.json").read_text())
UNITS = sorted(MONITORING.glob("churn-*"))
PROMTOOL, SYSTEMD = shutil.which("promtool"), shutil.which("systemd-analyze")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="needs promtool: apt install prometheus")


@pytest.fixture(scope="module")
def scraped(new_world, tmp_path_factory, first_run):
    """Give what a real scrape brings after a first run."""
    config = new_world(tmp_path_factory.mktemp("world")).copy_of(first_run).config
    client = create_app(config).test_client()
    client.get("/health")
    return client.get("/metrics").text


def promtool(*arguments, **options):
    result = subprocess.run(
        [PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def alerts(field):
    """Read a field of all alerts; a few lines do for a file that promtool reads whole."""
    return re.findall(rf"^ +(?:- )?{field}: (.+)$", ALERTS, flags=re.MULTILINE)


def expressions():
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def unit(path):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


@needs_promtool
def test_prometheus_takes_its_settings_and_the_rules():
    """As an operator would check them."""
    promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_every_alert_fires_when_it_should_and_only_then():
    """The cases are beside the rules; none is forgotten."""
    promtool("test", "rules", "alerts_test.yml")

    cases = (MONITORING / "alerts_test.yml").read_text()
    assert all(f'alertname="{name}"' in cases for name in alerts("alert"))


def test_every_alert_says_what_to_do():
    """Somebody is woken by it, and has not read the source."""
    names = alerts("alert")

    assert len(names) == len(set(names)) == 7
    assert len(alerts("summary")) == len(alerts("description")) == len(alerts("severity")) == 7


@needs_promtool
def test_names_and_units_of_the_metrics_are_as_prometheus_wants_them(scraped):
    """Help texts, base units, _total on counters only."""
    assert promtool("check", "metrics", input=scraped) == ""


def test_what_alerts_and_dashboard_ask_for_exists(scraped):
    """A renamed metric would leave an alert that never fires."""
    families = list(parse(scraped))
    known = {f.name for f in families} | {s.name for f in families for s in f.samples}
    asked = ALERTS + " ".join(expressions()) + json.dumps(DASHBOARD["templating"])
    names = set(re.findall(r"\b(?:risk|http)_[a-z_]+", asked))

    assert names >= {"risk_drift_score", "http_request_duration_seconds_bucket"}
    assert names <= known


@needs_promtool
def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path):
    """Checked as rules, the variables of Grafana being filled in."""
    filled = [re.sub(r"\$__rate_interval", "5m", e).replace("$", "") for e in expressions()]
    rules = [{"record": f"panel:{number}", "expr": e} for number, e in enumerate(filled)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_the_dashboard_fits_any_grafana():
    """No identity of its own, and the data source is chosen, not fixed."""
    uids = set(re.findall(r'"uid": ("[^"]*"|null)', json.dumps(DASHBOARD)))
    kinds = [variable["type"] for variable in DASHBOARD["templating"]["list"]]

    assert uids == {"null", '"${datasource}"'}
    assert DASHBOARD["uid"] is DASHBOARD["id"] is None
    assert kinds[0] == "datasource"


def test_the_panels_of_the_dashboard_do_not_overlap():
    """Each has a title, a text about it, and a place of its own."""
    taken = set()
    for panel in DASHBOARD["panels"]:
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        place = {(x + i, y + j) for i in range(width) for j in range(height)}

        assert panel["title"] and (panel["type"] == "row" or panel["description"])
        assert x + width <= 24 and not place & taken
        taken |= place


def test_the_timer_is_the_twin_of_the_cron_job():
    """The same program as often, and what was missed while the machine was off is made up for."""
    timer = unit(MONITORING / "churn-monitoring.timer")["Timer"]
    service = unit(MONITORING / "churn-monitoring.service")["Service"]
    cron = (ROOT / "cronjob.txt").read_text().splitlines()[-1]

    assert cron.startswith("*/10 ") and timer["OnCalendar"] == "*:0/10"
    assert timer["Persistent"] == "true"
    assert service["Type"] == "oneshot"
    assert service["ExecStart"].removeprefix(service["WorkingDirectory"] + "/") in cron


def test_the_services_know_our_exit_codes_and_our_patience():
    """A busy run is no failure, wrong settings are not retried, requests in work are waited for."""
    run = unit(MONITORING / "churn-monitoring.service")["Service"]
    api = unit(MONITORING / "churn-api.service")["Service"]
    patience = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["graceful_timeout"]

    assert int(run["SuccessExitStatus"]) == BusyError.exit_code
    assert int(api["RestartPreventExitStatus"]) == ConfigError.exit_code
    assert int(api["TimeoutStopSec"]) > patience
    assert run["NoNewPrivileges"] == api["NoNewPrivileges"] == "yes"
    assert run["ProtectSystem"] == api["ProtectSystem"] == "strict"


@pytest.mark.skipif(not SYSTEMD, reason="on purpose: this machine has no systemd")
def test_systemd_understands_the_units(tmp_path):
    """With the programs where `make run` puts them."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "gunicorn"):
        (programs / name).symlink_to(sys.executable)
    for path in UNITS:
        moved = path.read_text().replace("/opt/churn", str(tmp_path))
        (tmp_path / path.name).write_text(moved)

    result = subprocess.run(
        [SYSTEMD, "verify", *(tmp_path / path.name for path in UNITS)],
        capture_output=True,
        text=True,
    )

    assert (result.returncode, result.stderr) == (0, "")
