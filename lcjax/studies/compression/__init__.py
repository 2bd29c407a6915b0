"""Networks trained under several losses, pruned and quantized (Sharma et al., 2019)."""
