"""Distil labels into a labeler of one's own: a LoRA adapter for the embedded labeler, trained on approved labels."""
