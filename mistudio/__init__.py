"""mistudio: name, check and search the features of a sparse autoencoder.

Importing this package loads neither torch nor transformers; the modules that need them import them.
"""

__version__ = "0.1.0"
