"""The run engine: one loop for every job that asks a model about many features."""
