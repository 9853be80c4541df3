"""The pages a person looks at: rendered here, without scripts that are needed."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("dashboard", __name__, template_folder="templates", static_folder="static")
