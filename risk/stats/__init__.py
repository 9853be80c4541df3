"""Formulas over arrays: no files, no frames, no configuration."""
