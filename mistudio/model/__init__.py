"""The language model under study: load it, and run it up to a hook point."""
