"""Notifications: announcements sent to people and machines."""
