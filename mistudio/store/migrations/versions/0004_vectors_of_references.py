"""the meaning vectors of an extraction's reference windows, kept"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.create_table('referencevectors',
    sa.Column('extraction_id', sa.Integer(), nullable=False),
    sa.Column('split', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('numbers', sa.LargeBinary(), nullable=False),
    sa.Column('vectors', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['extraction_id'], ['extraction.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('extraction_id', 'split')
    )


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
