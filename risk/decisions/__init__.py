"""Decisions: what to do about incidents, and which model deserves to be live."""
