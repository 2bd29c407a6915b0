"""Held-out scores of every method of `lc.predict_learning_curve` on several data sets and networks."""
