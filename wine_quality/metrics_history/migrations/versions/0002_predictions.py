"""The table ``predictions``, which the model servers write."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, UUID

from wine_quality.metrics_history import aggregates

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("input_hash", sa.Text, nullable=False),
        sa.Column("prediction", DOUBLE_PRECISION, nullable=False),
        sa.Column("inputs", JSONB, nullable=True),
        sa.Column("batch", UUID, nullable=False),
        sa.Column("batch_row", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("time", "model_name", "batch", "batch_row"),
        schema="wine_quality",
    )


def downgrade() -> None:
    aggregates.drop(op.get_bind())
    op.drop_table("predictions", schema="wine_quality")
