"""Monitoring: new rows against the reference of the live release, within the alarm budget."""
