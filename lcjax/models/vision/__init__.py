"""Models of images and vectors."""
