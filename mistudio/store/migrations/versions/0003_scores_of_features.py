"""the score of a feature's current label, beside the feature"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.add_column('feature', sa.Column('score', sa.Float(), nullable=True))
    op.create_index('ix_feature_score', 'feature', ['extraction_id', 'score'])
    op.execute("UPDATE feature SET score = (SELECT label.score FROM label WHERE label.id = feature.label_id) "
               "WHERE label_id IN (SELECT id FROM label WHERE score IS NOT NULL)")


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
