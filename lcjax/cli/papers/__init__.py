"""Commands that reproduce studies of papers."""
