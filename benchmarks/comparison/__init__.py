"""Comparisons of learning curves, scored on the learners of LCDB."""
