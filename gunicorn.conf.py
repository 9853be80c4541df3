"""Gunicorn settings for wsgi:app; override them on its command line."""

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from prometheus_client import values

from risk.config import LOOPBACK, Config
from risk.errors import ConfigError
from web import api_keys
from web.worker import Worker

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def _load():
    default = Path(__file__).with_name("config.json")
    return Config.load(Path(os.environ.get("RISK_CONFIG") or default), environment=os.environ)


_config = _load()
_host = f"[{_config.api.host}]" if ":" in _config.api.host else _config.api.host
bind = f"{_host}:{_config.api.port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = Worker
Worker.max_body_bytes = _config.api.max_body_bytes
worker_connections = 500  # each is an open file, and systems allow 1024
threads = 4
timeout = 60
graceful_timeout = 30
keepalive = 5
limit_request_line = 8190
limit_request_fields = 64
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = "/dev/shm"
control_socket_disable = True


def on_starting(server):
    """Require API keys for remote access; create the folder for the metrics of the workers.

    The folder is new and private, so it has no counts of an earlier server, and it is below the
    system's temporary folder, so the project can be read-only.
    """
    on_reload(server)
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="risk-metrics-")
    os.chown(os.environ[FOLDER], server.cfg.uid, server.cfg.gid)


def on_reload(server):
    """Require API keys for remote access, also for addresses set by --bind; refuse TLS."""
    if server.cfg.is_ssl:
        print("error: the server speaks HTTP only; let a proxy in front end TLS", file=sys.stderr)
        sys.exit(ConfigError.exit_code)
    for address in server.cfg.address:
        host = address[0] if isinstance(address, tuple) else str(address)
        if host in LOOPBACK:
            continue
        os.environ["RISK_API__READ_WITHOUT_KEY"] = "false"
        try:
            api_keys.require_keys(_config, host)
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)


def pre_fork(server, worker):
    """Number the workers, so that a new worker continues the counts of the one it replaces.

    With one file per process, as usual, every restart of a worker would add files.
    """
    taken = {sibling.number for sibling in server.WORKERS.values()}
    worker.number = next(n for n in itertools.count() if n not in taken)


def post_fork(server, worker):
    """Use the metric files of this worker's number."""
    values.ValueClass = values.MultiProcessValue(lambda: worker.number)


def post_worker_init(worker):
    """Prepare for predictions before the first request, and before there are threads."""
    from web import predictions, service  # of the application, which a worker loads for itself

    try:
        predictions.get_ready(worker.wsgi)
    except Exception:  # of a model, say; the dashboard and probes do not need it
        worker.log.exception("not ready for predictions; the first request will try again")
    service.collect_garbage_as_usual()


def on_exit(server):
    """Remove the metrics folder."""
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
