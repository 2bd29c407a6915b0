"""Commands for measured curves."""
