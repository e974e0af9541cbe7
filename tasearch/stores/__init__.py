"""What outlives a process: the database's records, artifacts, checkpoints and teacher logits."""
