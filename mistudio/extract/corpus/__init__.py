"""Corpora: documents of every source, and the token rows cut from them."""

from mistudio.extract.corpus.document import SPLITS, Document, document_hash, split_of
from mistudio.extract.corpus.rows import Contexts, contexts
from mistudio.extract.corpus.text import text_documents

__all__ = ["SPLITS", "Contexts", "Document", "contexts", "document_hash", "split_of", "text_documents"]
