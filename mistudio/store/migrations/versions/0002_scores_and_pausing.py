"""scores by method with their baseline; runs that can be paused"""

import sqlalchemy as sa
from alembic import op

from mistudio.store.tables import UTCDateTime

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    # Not in batch mode: it makes the table anew, and dropping the old one would take everything that points at it.
    op.add_column('run', sa.Column('stop', sa.String(), nullable=False, server_default=''))
    op.drop_column('run', 'cancel')
    op.add_column('label', sa.Column('score', sa.Float(), nullable=True))
    op.add_column('label', sa.Column('score_method', sa.String(), nullable=False, server_default=''))
    op.create_index('ix_label_run', 'label', ['run_id'])
    # Nothing wrote scores before.
    op.drop_table('score')
    op.create_table('score',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('label_id', sa.Integer(), nullable=False),
    sa.Column('run_id', sa.Integer(), nullable=True),
    sa.Column('method', sa.String(), nullable=False),
    sa.Column('judge', sa.String(), nullable=False),
    sa.Column('split', sa.String(), nullable=False),
    sa.Column('value', sa.Float(), nullable=False),
    sa.Column('low', sa.Float(), nullable=True),
    sa.Column('high', sa.Float(), nullable=True),
    sa.Column('weighted', sa.Float(), nullable=True),
    sa.Column('baseline', sa.Float(), nullable=True),
    sa.Column('precision', sa.Float(), nullable=True),
    sa.Column('recall', sa.Float(), nullable=True),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('recalls', sa.JSON(), nullable=False),
    sa.Column('misjudged', sa.JSON(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('prompt_hash', sa.String(), nullable=False),
    sa.Column('prompt_tokens', sa.Integer(), nullable=True),
    sa.Column('completion_tokens', sa.Integer(), nullable=True),
    sa.Column('cost', sa.Float(), nullable=True),
    sa.Column('seconds', sa.Float(), nullable=True),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['label_id'], ['label.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ix_score_label_id', 'score', ['label_id'])
    op.create_index('ix_score_run_id', 'score', ['run_id'])


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
