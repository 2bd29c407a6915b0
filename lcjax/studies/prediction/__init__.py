"""Learning curves predicted from small runs and scored on held-out sizes (Bisla et al., 2021)."""
