"""Shared code of the stages."""

__version__ = "0.1.0"
