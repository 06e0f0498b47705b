"""indices: one in sixteen features, for the map of very many; and what answered and judged last"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'

# Written out: a later version may take another sample.
SAMPLE = sa.text("id % 32768 * 20251 % 32768 < 2048")
ANSWERED = sa.text("seconds IS NOT NULL")


def upgrade() -> None:
    op.create_index('ix_feature_sample', 'feature', [
        'extraction_id', 'label_state', 'state', 'kind', 'origin', 'provider', 'starred', 'score', 'density',
        'max_activation', 'index'], sqlite_where=SAMPLE, postgresql_where=SAMPLE)
    op.create_index('ix_label_answered', 'label', ['provider', 'id', 'model'], sqlite_where=ANSWERED,
                    postgresql_where=ANSWERED)
    op.create_index('ix_score_label', 'score', ['label_id', 'method', 'judge', 'split'])
    op.drop_index('ix_score_label_id', 'score')
    op.create_index('ix_score_judge', 'score', ['method', 'judge', 'id'])


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
