import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("crash_driver.py")
ROOT = DRIVER.parents[1]


@pytest.mark.parametrize("stage", ["first model", "new data and drift"])
def test_the_next_run_repairs_a_crash_at_any_point(world, tmp_path_factory, stage):
    """SIGKILL before every change of a file and every commit; the end is always the same."""
    workshop = tmp_path_factory.mktemp("crashes")
    if stage == "new data and drift":
        assert world.command("full_process.py").returncode == 0
        world.switch_to_production()
        world.set(training__estimator="GradientBoostingClassifier", checks__metric="brier")

    driver = subprocess.run(
        [sys.executable, DRIVER, world.folder, workshop, os.environ.get("CRASH_EVERY", "7")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    whole, *crashes = [json.loads(line) for line in driver.stdout.splitlines()]
    assert driver.returncode == 0, driver.stderr
    assert whole["exit_code"] == 0
    assert whole["state"]["live"] == (1 if stage == "first model" else 2)
    assert len(crashes) > 10
    for crash in crashes:
        assert crash["exit_code"] == 0, (crash["point"], driver.stderr)
        assert crash["state"] == whole["state"], crash["point"]
