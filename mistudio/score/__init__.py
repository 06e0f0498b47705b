"""How good a label is, measured on windows that the labeler never saw."""
