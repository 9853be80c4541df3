"""Incoming data: drops and SQL sources, what of them is accepted, labels that come later."""
