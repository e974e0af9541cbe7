"""How the suite runs: what it starts, how it waits, what it says about a hang, and what it cleans up."""
