"""Error floors: label noise, and the part that a model keeps with infinitely many examples."""
