"""Expected values of a local law over the distance to the nearest train point."""
