"""Models: fitted, evaluated, explained, signed and released."""
