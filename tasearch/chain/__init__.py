"""Mechanism: how a chain of stages is carried out, each stage trained once per store."""
