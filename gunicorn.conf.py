"""How gunicorn serves wsgi:app; each value can be overridden on its command line."""

import os
from pathlib import Path

from risk.config import Config

_config = Config.load(
    Path(os.environ.get("RISK_CONFIG") or Path(__file__).with_name("config.json")),
    environment=os.environ,
)
_host = f"[{_config.api.host}]" if ":" in _config.api.host else _config.api.host
bind = f"{_host}:{_config.api.port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 4
timeout = 60
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
