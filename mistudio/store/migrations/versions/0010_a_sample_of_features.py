"""an index of one in sixteen features, for the map of very many"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'

# Written out: a later version may take another sample.
SAMPLE = sa.text("id % 32768 * 20251 % 32768 < 2048")


def upgrade() -> None:
    op.create_index('ix_feature_sample', 'feature', [
        'extraction_id', 'label_state', 'state', 'kind', 'origin', 'provider', 'starred', 'score', 'density',
        'max_activation', 'index'], sqlite_where=SAMPLE, postgresql_where=SAMPLE)


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
