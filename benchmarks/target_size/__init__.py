"""Answers for target errors, scored on the learning curves of LCDB."""
