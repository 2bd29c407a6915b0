"""Figures: one function per record, drawing on given axes in colours that are safe for colour-blind readers."""
