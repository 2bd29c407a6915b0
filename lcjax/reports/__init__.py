"""Reports: self-contained HTML pages of results, with interactive figures that also work without JavaScript."""
