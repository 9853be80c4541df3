"""The HTTP API and the pages: one blueprint per file, assembled by `app.py`."""
