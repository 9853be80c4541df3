"""Entry point for gunicorn: the only module that reads the settings when imported."""

import os
from pathlib import Path

from app import create_app
from risk import cli

settings = Path(os.environ.get("RISK_CONFIG") or Path(__file__).with_name("config.json"))
app = create_app(cli.load(settings, []))
