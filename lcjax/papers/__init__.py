"""Numbers printed in the papers whose experiments lcjax repeats; one module per paper, data only."""
