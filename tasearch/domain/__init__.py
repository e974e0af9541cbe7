"""The words of tasearch as frozen values. Standard library only."""
