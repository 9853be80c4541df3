"""Figures: frames in, a figure out; nothing is saved here."""
