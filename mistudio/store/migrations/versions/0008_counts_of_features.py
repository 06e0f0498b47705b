"""how many features are in which state, kept by the database; an index of everything to filter by"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'

# Whoever makes the feature table anew (as batch mode does on SQLite) has to make its triggers anew, too.
SQLITE = {
    "INSERT ON feature": ["{add}"],
    "UPDATE OF state, label_state, score ON feature WHEN (old.state, old.label_state, old.score) "
    "IS NOT (new.state, new.label_state, new.score)": ["{take}", "{add}"],
    "DELETE ON feature": ["{take}"],
}
ADD = """INSERT INTO featurecount (extraction_id, state, label_state, features, scored, score_sum)
    VALUES (new.extraction_id, new.state, new.label_state, 1, new.score IS NOT NULL, coalesce(new.score, 0.0))
    ON CONFLICT (extraction_id, state, label_state) DO UPDATE SET features = features + 1,
    scored = scored + excluded.scored, score_sum = score_sum + excluded.score_sum;"""
TAKE = """UPDATE featurecount SET features = features - 1, scored = scored - (old.score IS NOT NULL),
    score_sum = score_sum - coalesce(old.score, 0.0) WHERE extraction_id = old.extraction_id AND state = old.state
    AND label_state = old.label_state;"""
# By statement, so that a thousand new features are one change; and in one order, so that two writers cannot lock each
# other out. What is deleted may have lost its extraction already, so it only takes from rows that are there.
POSTGRESQL = """
CREATE FUNCTION count_features() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO featurecount SELECT extraction_id, state, label_state, count(*), count(score),
            coalesce(sum(score), 0) FROM after_rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 {on_conflict};
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO featurecount SELECT extraction_id, state, label_state, sum(n), sum(has), sum(much) FROM (
            SELECT extraction_id, state, label_state, 1 AS n, num_nonnulls(score) AS has, coalesce(score, 0) AS much
            FROM after_rows UNION ALL
            SELECT extraction_id, state, label_state, -1, -num_nonnulls(score), -coalesce(score, 0) FROM before_rows
        ) AS change GROUP BY 1, 2, 3 HAVING sum(n) <> 0 OR sum(has) <> 0 OR sum(much) <> 0 ORDER BY 1, 2, 3
        {on_conflict};
    ELSE
        UPDATE featurecount SET features = features - gone.n, scored = scored - gone.has,
            score_sum = score_sum - gone.much
        FROM (SELECT extraction_id, state, label_state, count(*) AS n, count(score) AS has,
              coalesce(sum(score), 0) AS much FROM before_rows GROUP BY 1, 2, 3) AS gone
        WHERE featurecount.extraction_id = gone.extraction_id AND featurecount.state = gone.state
        AND featurecount.label_state = gone.label_state;
    END IF;
    RETURN NULL;
END $$"""
ON_CONFLICT = """ON CONFLICT (extraction_id, state, label_state) DO UPDATE SET
            features = featurecount.features + excluded.features, scored = featurecount.scored + excluded.scored,
            score_sum = featurecount.score_sum + excluded.score_sum"""
ROWS = {"INSERT": "NEW TABLE AS after_rows", "UPDATE": "OLD TABLE AS before_rows NEW TABLE AS after_rows",
        "DELETE": "OLD TABLE AS before_rows"}


def upgrade() -> None:
    op.create_table('featurecount',
    sa.Column('extraction_id', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('label_state', sa.String(), nullable=False),
    sa.Column('features', sa.Integer(), nullable=False),
    sa.Column('scored', sa.Integer(), nullable=False),
    sa.Column('score_sum', sa.Float(), nullable=False),
    sa.ForeignKeyConstraint(['extraction_id'], ['extraction.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('extraction_id', 'state', 'label_state')
    )
    op.execute("INSERT INTO featurecount SELECT extraction_id, state, label_state, count(*), count(score), "
               "coalesce(sum(score), 0) FROM feature GROUP BY extraction_id, state, label_state")
    if op.get_bind().dialect.name == "sqlite":
        for number, (when, changes) in enumerate(SQLITE.items()):
            body = " ".join(changes).format(add=ADD, take=TAKE)
            op.execute(f"CREATE TRIGGER featurecount_{number} AFTER {when} BEGIN {body} END")
    else:
        op.execute(POSTGRESQL.format(on_conflict=ON_CONFLICT))
        for change, rows in ROWS.items():
            op.execute(f"CREATE TRIGGER featurecount_{change.lower()} AFTER {change} ON feature REFERENCING {rows} "
                       "FOR EACH STATEMENT EXECUTE FUNCTION count_features()")
    op.create_index('ix_feature_filter', 'feature', [
        'extraction_id', 'label_state', 'state', 'kind', 'origin', 'provider', 'starred', 'score', 'density',
        'max_activation', 'index'])
    op.create_index('ix_feature_starred', 'feature', ['extraction_id', 'index'],
                    sqlite_where=sa.text("starred IS 1"), postgresql_where=sa.text("starred IS true"))


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
