"""Methods that extend a learning curve: one file for each kind, with a common form of their fits."""
