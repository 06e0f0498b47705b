"""The demo that needs nothing: its model, SAE, corpus recipe and embedded labeler."""
