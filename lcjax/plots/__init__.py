"""Figures: one function per record, drawing on given axes in colours that colour-blind readers can distinguish."""
