"""The student and teacher networks, by name, and how big they are."""
