"""The 60-day demo."""
