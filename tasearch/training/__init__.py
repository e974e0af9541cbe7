"""The distillation core: torch only; no database, no Optuna, no printing."""
