"""Settings from flags, environment, study file and defaults."""
