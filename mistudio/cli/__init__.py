"""The commands of ``python -m mistudio``, and what they share."""
