"""who started an extraction or a run, and who wrote a note"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'

AUTHORS = {"extraction": "author", "run": "author", "feature": "noted_by"}


def upgrade() -> None:
    for table, column in AUTHORS.items():
        op.add_column(table, sa.Column(column, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("Databases are only ever upgraded.")
