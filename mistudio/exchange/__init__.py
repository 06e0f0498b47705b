"""Labels out to files and back in."""
