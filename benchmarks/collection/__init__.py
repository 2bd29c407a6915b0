"""Collections in one sweep against one process a training, and sequential ones against a grid of sizes."""
