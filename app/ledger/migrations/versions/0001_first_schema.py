"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one version forward; there is no way back but a backup."""
    op.create_table(
        "acknowledged",
        sa.Column("failure_group", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("failure_group"),
    )
    op.create_table(
        "alerts",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("begun_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "code"),
    )
    op.create_table(
        "attempts",
        sa.Column(
            "transfer_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("calls", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("transfer_seq", "number"),
    )
    op.create_index("ix_attempts_finished", "attempts", ["finished_at"])
    op.create_table(
        "customers",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("linked_at", sa.Float(), nullable=True),
        sa.Column("written_back", sa.Boolean(), nullable=False),
        sa.Column("written_back_to", sa.String(), nullable=True),
        sa.Column("destination", sa.String(), nullable=True),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("settled", sa.Text(), nullable=True),
        sa.Column("settled_place", sa.BigInteger(), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=True),
        sa.Column("doubt", sa.Text(), nullable=True),
        sa.Column("verify_at", sa.Float(), nullable=True),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("rank", sa.Integer(), server_default="1", nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("sending", sa.String(), nullable=True),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "customer_id"),
    )
    op.create_index(
        "ix_customers_due",
        "customers",
        ["connection", "rank", "due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_customers_external",
        "customers",
        ["connection", "external_id"],
        unique=True,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index(
        "ix_customers_owner",
        "customers",
        ["owner"],
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index(
        "ix_customers_verify",
        "customers",
        ["connection", "verify_at"],
        sqlite_where=sa.text("verify_at IS NOT NULL"),
        postgresql_where=sa.text("verify_at IS NOT NULL"),
    )
    op.create_table(
        "gates",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("calls", sa.Text(), nullable=True),
        sa.Column("throttled_at", sa.Float(), nullable=True),
        sa.Column("throttled_until", sa.Float(), nullable=True),
        sa.Column("down_at", sa.Float(), nullable=True),
        sa.Column("probe_at", sa.Float(), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("paused_at", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("connection"),
    )
    op.create_table(
        "rejections",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rejections_at", "rejections", ["at"])
    op.create_table(
        "hours",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("recovered", sa.Integer(), nullable=False),
        sa.Column("put_off", sa.Integer(), nullable=False),
        sa.Column("took", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "hour"),
    )
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sync_blocks",
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sync_id", "number"),
    )
    op.create_table(
        "sync_items",
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.Column("transfer_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sync_id", "transfer_seq"),
    )
    op.create_index("ix_sync_items_transfer", "sync_items", ["transfer_seq"])
    op.create_table(
        "syncs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("cancelled_at", sa.Float(), nullable=True),
        sa.Column("one_first", sa.Boolean(), nullable=False),
        sa.Column("pilot", sa.BigInteger(), nullable=True),
        sa.Column("held_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "trail",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("transfer_seq", sa.BigInteger(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    for name, column, where in (
        ("ix_trail_at", "at", "transfer_seq IS NULL"),
        ("ix_trail_subject", "subject", "subject IS NOT NULL"),
        ("ix_trail_transfer", "transfer_seq", "transfer_seq IS NOT NULL"),
    ):
        op.create_index(name, "trail", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.create_table(
        "transfers",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("tracking_guid", sa.String(), nullable=False),
        sa.Column("repeat_key", sa.String(), nullable=True),
        sa.Column("destination", sa.String(), nullable=True),
        sa.Column("traceparent", sa.String(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("debug", sa.Boolean(), nullable=False),
        sa.Column("loading", sa.Boolean(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=True),
        sa.Column("entered", sa.BigInteger(), nullable=True),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("fetched", sa.Boolean(), nullable=False),
        sa.Column("record_hash", sa.String(), nullable=True),
        sa.Column("email_hash", sa.String(), nullable=True),
        sa.Column("changed_at", sa.Float(), nullable=True),
        sa.Column("consent", sa.Boolean(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("promised", sa.Boolean(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float(), nullable=True),
        sa.Column("rank", sa.Integer(), server_default="1", nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("subscription", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("stamped_status", sa.Integer(), nullable=True),
        sa.Column("failure_group", sa.String(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.String(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("customer_id", "connection", "repeat_key", name="uq_transfers_repeat"),
        sa.UniqueConstraint("id", name="uq_transfers_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_transfers_arrival",
        "transfers",
        ["connection", "trigger", "created_at"],
        sqlite_where=sa.text("\"trigger\" != ''"),
        postgresql_where=sa.text("\"trigger\" != ''"),
    )
    op.create_index(
        "ix_transfers_connection",
        "transfers",
        ["connection", "seq"],
        sqlite_where=sa.text("created_at > 0"),
        postgresql_where=sa.text("created_at > 0"),
    )
    op.create_index("ix_transfers_created", "transfers", ["created_at"])
    op.create_index("ix_transfers_email", "transfers", ["day", "email_hash"])
    op.create_index(
        "ix_transfers_error",
        "transfers",
        ["error", "seq"],
        sqlite_where=sa.text("error IS NOT NULL"),
        postgresql_where=sa.text("error IS NOT NULL"),
    )
    op.create_index(
        "ix_transfers_group",
        "transfers",
        ["failure_group", "seq"],
        sqlite_where=sa.text("failure_group IS NOT NULL"),
        postgresql_where=sa.text("failure_group IS NOT NULL"),
    )
    op.create_index("ix_transfers_guid", "transfers", ["day", "tracking_guid"])
    op.create_index(
        "ix_transfers_loading",
        "transfers",
        ["connection", "rank", "next_attempt_at"],
        sqlite_where=sa.text("loading"),
        postgresql_where=sa.text("loading"),
    )
    op.create_index(
        "ix_transfers_open",
        "transfers",
        ["connection", "customer_id"],
        sqlite_where=sa.text("status IN ('accepted', 'waiting', 'running')"),
        postgresql_where=sa.text("status IN ('accepted', 'waiting', 'running')"),
    )
    op.create_index(
        "ix_transfers_record_kept",
        "transfers",
        ["finished_at"],
        sqlite_where=sa.text("record IS NOT NULL AND finished_at IS NOT NULL"),
        postgresql_where=sa.text("record IS NOT NULL AND finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_transfers_stamped",
        "transfers",
        ["stamped_status", "seq"],
        sqlite_where=sa.text("stamped_status IS NOT NULL"),
        postgresql_where=sa.text("stamped_status IS NOT NULL"),
    )
    op.create_index("ix_transfers_status", "transfers", ["status", "seq"])
