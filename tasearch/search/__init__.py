"""Policy: what to try next, who reaches the finals, what they prove. The only package that speaks Optuna."""
