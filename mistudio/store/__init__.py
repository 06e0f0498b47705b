"""The only code that speaks SQL: tables, engine, migrations, and one module a noun."""

from mistudio.store.engine import open_store, session
from mistudio.store.tables import Extraction, Feature, Label, Run, RunItem, Score

__all__ = ["Extraction", "Feature", "Label", "Run", "RunItem", "Score", "open_store", "session"]
