"""One pass of model and SAE over a corpus: every feature's examples and statistics."""
