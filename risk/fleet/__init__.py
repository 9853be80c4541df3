"""A fleet: many models with their own settings, one false-alarm budget over all of them."""
