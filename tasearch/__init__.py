"""tasearch finds the best teacher-assistant chain for knowledge distillation."""

__version__ = "0.1.0"
