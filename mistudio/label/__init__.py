"""Evidence, prompts, providers and the run loop: from examples to labels."""
