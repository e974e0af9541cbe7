"""optuna-dashboard as tasearch serves it, and what tasearch writes into it: notes and figures of a study."""
