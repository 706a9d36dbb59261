"""What is still to be entered of a sync in blocks, and which system knows a link."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BLOCK = 50


def upgrade() -> None:
    """Go one version forward; there is no way back but a backup."""
    op.add_column("links", sa.Column("written_back_to", sa.String(), nullable=True))
    blocks = op.create_table(
        "sync_blocks",
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sync_id", "number"),
    )
    connection = op.get_bind()
    unentered = connection.execute(sa.text("SELECT id, todo FROM syncs WHERE todo IS NOT NULL")).all()
    for sync_id, todo in unentered:
        items = json.loads(todo)
        for number, first in enumerate(range(0, len(items), _BLOCK)):
            block = items[first : first + _BLOCK]
            values = {"sync_id": sync_id, "number": number, "size": len(block), "items": json.dumps(block)}
            connection.execute(blocks.insert(), values)
    op.drop_index("ix_syncs_todo", "syncs")
    with op.batch_alter_table("syncs") as syncs:  # older SQLite cannot drop a column
        syncs.drop_column("todo")
