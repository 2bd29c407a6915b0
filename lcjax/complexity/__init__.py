"""Why nets generalize: randomization tests, memorization, minimum norm and complexity measures (Zhang et al. 2017)."""
