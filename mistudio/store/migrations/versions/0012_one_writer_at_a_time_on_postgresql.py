"""on PostgreSQL, who writes features or labels does so alone, as on SQLite"""

from alembic import op

revision = '0012'
down_revision = '0011'

# A transaction touches labels, features and the counts of these (0008) in whatever order its user works; of two that
# do so at once, each would in the end wait for a row of the other. So the first statement of each waits for its turn,
# before it locks anything, and the end of the transaction is the end of the turn.
TURN = """
CREATE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4170924);
    RETURN NULL;
END $$"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(TURN)
        for table in ("feature", "label"):
            op.execute(f"CREATE TRIGGER {table}_turn BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                       "FOR EACH STATEMENT EXECUTE FUNCTION take_turn()")


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
