"""The size at which one training meets a target, and the number of test examples, checked by simulation."""
