"""each feature's nearest ones by decoder direction"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.create_table('featurenearest',
    sa.Column('feature_id', sa.Integer(), nullable=False),
    sa.Column('blob', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['feature_id'], ['feature.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('feature_id')
    )


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
