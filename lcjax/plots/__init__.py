"""Figures: one function a record, drawing on given Axes; colours that colour-blind readers tell apart."""
