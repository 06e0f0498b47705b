"""indexes for full-text search on PostgreSQL; SQLite has its own table for that from the first schema on"""

from alembic import op

revision = '0009'
down_revision = '0008'

# Word for word as store.search asks: an index of an expression answers for nothing else.
DOCUMENTS = {
    "ix_label_text_words": "label USING gin (to_tsvector('english', text))",
    "ix_label_explanation_words": "label USING gin (to_tsvector('english', explanation))",
    "ix_feature_token_words": "feature USING gin (to_tsvector('simple', top_tokens))",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, document in DOCUMENTS.items():
            op.execute(f"CREATE INDEX {name} ON {document}")


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
