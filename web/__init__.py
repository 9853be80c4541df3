"""The web side, one blueprint a file: what `app.py` puts together."""
