"""Sixty invented days."""
