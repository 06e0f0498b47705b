"""One SAE class, and a small reader for each file format."""
