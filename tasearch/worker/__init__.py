"""Joins policy and mechanism: asks for chains, runs them, tells what came out."""
