"""What the run engine can be asked to do: label features, score labels; here or in the background."""
