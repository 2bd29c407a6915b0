"""Collections in one sweep or by one process per training, and sequential collections or grids of sizes, compared."""
