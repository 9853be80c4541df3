"""What can be known about the image and the services without Docker."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.test_architecture import MODULES

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PROGRAMS = [COMPOSE["services"][name] for name in ("runs", "api")]


def instructions(name):
    """Return the arguments of each such instruction of the last stage of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
    return [line.split(maxsplit=1)[1] for line in lines[last:] if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Give a folder with what the Dockerfile copies into /app."""
    folder = tmp_path_factory.mktemp("image")
    for arguments in instructions("COPY"):
        *sources, target = arguments.split()
        if sources[0].startswith("--from="):
            continue
        for path in (path for source in sources for path in ROOT.glob(source.rstrip("/"))):
            if path.is_dir():
                shutil.copytree(path, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder / target)
    return folder


def python(image, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=image,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_the_image_contains_every_module_and_nothing_of_an_installation(image):
    """Neither data nor keys, whatever lies in the folder it is built in."""
    copied = {path.relative_to(image) for path in image.rglob("*.py")}

    assert copied >= {path.relative_to(ROOT) for path in MODULES}
    assert {path.name for path in image.iterdir()} == {
        *("risk", "web", "requirements.txt"),
        *(path.name for path in ROOT.glob("*.py")),
    }
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*" and {line for line in ignored if line.startswith("!")} == {
        *("!requirements.lock", "!requirements-drivers.lock", "!requirements-messages.lock"),
        "!requirements.txt",
        *("!*.py", "!risk", "!web"),
    }


@pytest.mark.torture
def test_a_run_and_the_administration_work_with_what_the_image_contains(image, world):
    """And write nothing into it: its file system is read-only."""
    before = sorted(image.rglob("*"))
    settings = {"RISK_CONFIG": str(world.folder / "config.json")}
    (loop,) = re.findall(r"python (\S+);", PROGRAMS[0]["command"][-1])

    run = python(image, loop, **settings)
    check = python(image, "-m", "risk.admin", "check", **settings)

    assert "Release 1 is live" in run.stdout, run.stderr
    assert check.returncode == 0, check.stdout
    assert sorted(image.rglob("*")) == before


def test_the_health_check_knows_whether_the_api_answers(image, serving):
    (check,) = instructions("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python" and "http://127.0.0.1:8000/health" in command[-1]

    answers = [
        python(image, *command[1:-1], command[-1].replace("http://127.0.0.1:8000", address))
        for address in (serving, "http://127.0.0.1:1")
    ]

    assert [answer.returncode for answer in answers] == [0, 1]


def test_no_container_is_privileged():
    """Nobody is root, nothing is written but to volumes and to memory."""
    assert instructions("USER") == ["10001:10001"]
    for service in COMPOSE["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("user") != "root"
    assert COMPOSE["services"]["database"]["user"] == "postgres"
    assert COMPOSE["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]


def test_the_image_can_be_read_whatever_the_umask_of_the_checkout():
    """Its user owns none of the files; they keep the modes they had where it was built."""
    assert instructions("RUN")[-1].startswith("chmod -R a+rX . ")


def test_ci_lints_the_image_and_builds_and_uses_it_where_docker_runs():
    """Elsewhere its steps are carried out by the test below, without it."""
    assert "then .ci/image; else .ci/image --lint; fi\n" in (ROOT / ".ci" / "run").read_text()


def test_what_is_mounted_exists_and_has_a_place_in_the_image():
    """A folder that Docker had to create would belong to root."""
    made = instructions("RUN")[-1].split()
    (settings,) = re.findall(r"RISK_CONFIG=(\S+)", instructions("ENV")[0])

    for service in PROGRAMS:
        mounts = dict(mount.removesuffix(":ro").split(":") for mount in service["volumes"])
        assert mounts.pop("installation") == str(Path(settings).parent) in made
        assert mounts.pop("./config.json") == settings
        for source, target in mounts.items():
            assert (ROOT / source).is_dir() and target in made


def test_the_variables_of_compose_are_in_the_documentation():
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))

    documented = (ROOT / "docs" / "operations.md").read_text()
    assert used == {"POSTGRES_PASSWORD"} and all(name in documented for name in used)
