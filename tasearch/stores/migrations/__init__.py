"""Versions of the tasearch tables."""
