"""an index that finds a feature's items, without which each deleted feature reads all items of all runs"""

from alembic import op

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    op.create_index('ix_runitem_feature', 'runitem', ['feature_id'])


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
