"""what features hold of their current labels, and an index for everything to sort by"""

import sqlalchemy as sa
from alembic import op

from mistudio.store.current import label_key

revision = '0005'
down_revision = '0004'

BATCH = 10_000
# Written out: later versions may sort by something else.
NEED = ("CASE WHEN (label_state = 'unreviewed') THEN 1.5 - coalesce(score, 0.5) + density / (density + 0.01) "
        "+ coalesce(disagreement, 0.0) - CASE WHEN seen THEN 0.5 ELSE 0.0 END END")
SORTED = ("score", "density", "max_activation", "confidence", "state", "label_state", "kind", "provider", "origin",
          "disagreement")


def upgrade() -> None:
    op.add_column('label', sa.Column('disagreement', sa.Float(), nullable=True))
    op.add_column('feature', sa.Column('label_state', sa.String(), nullable=False, server_default='unlabeled'))
    op.add_column('feature', sa.Column('label_key', sa.String(), nullable=True))
    op.add_column('feature', sa.Column('origin', sa.String(), nullable=True))
    op.add_column('feature', sa.Column('provider', sa.String(), nullable=True))
    op.add_column('feature', sa.Column('kind', sa.String(), nullable=True))
    op.add_column('feature', sa.Column('confidence', sa.Float(), nullable=True))
    op.add_column('feature', sa.Column('disagreement', sa.Float(), nullable=True))
    op.add_column('feature', sa.Column('seen', sa.Boolean(), nullable=False, server_default=sa.false()))
    _fill()
    for index in ('ix_feature_density', 'ix_feature_max', 'ix_feature_score'):
        op.drop_index(index, 'feature')
    op.create_index('ix_feature_by_label', 'feature', ['extraction_id', 'label_key', 'index'])
    for column in SORTED:
        op.create_index(f'ix_feature_by_{column}', 'feature', ['extraction_id', column, 'index'])
    op.create_index('ix_feature_by_need', 'feature', ['extraction_id', sa.text(f"({NEED})"), 'index'])


def _fill() -> None:
    latest = ("(SELECT value FROM score WHERE score.label_id = label.id AND method = '{}' AND split = 'test' "
              "ORDER BY id DESC LIMIT 1)")
    op.execute(f"UPDATE label SET disagreement = abs({latest.format('detection')} - {latest.format('fuzzing')}) "
               "WHERE id IN (SELECT label_id FROM score WHERE method = 'fuzzing' AND split = 'test')")
    op.execute("""
        UPDATE feature SET (label_state, origin, provider, kind, confidence, disagreement) = (
            SELECT CASE WHEN verdict = 'rejected' THEN 'rejected' WHEN origin = 'human' THEN 'human'
                        WHEN verdict = 'approved' THEN 'approved' ELSE 'unreviewed' END,
                   origin, nullif(provider, ''), nullif(kind, ''), confidence, disagreement
            FROM label WHERE label.id = feature.label_id)
        WHERE label_id IN (SELECT id FROM label)""")
    # SQLite folds the case of ASCII letters only.
    connection, last = op.get_bind(), 0
    rows = sa.text("SELECT feature.id, label.text FROM feature JOIN label ON label.id = feature.label_id "
                   "WHERE feature.id > :last ORDER BY feature.id LIMIT :most")
    while found := connection.execute(rows, {"last": last, "most": BATCH}).all():
        connection.execute(sa.text("UPDATE feature SET label_key = :key WHERE id = :id"),
                           [{"id": feature_id, "key": label_key(text)} for feature_id, text in found])
        last = found[-1][0]


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
