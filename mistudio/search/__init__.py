"""Find features by the words and the meaning of their labels."""
