"""Commands for measured learning curves."""
