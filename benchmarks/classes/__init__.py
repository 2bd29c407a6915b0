"""Learning curves of single classes: measured on image sets, and forecast with and without partial pooling."""
