"""The table ``evaluation_metrics``.

A hypertable does not need a revision: TimescaleDB may be added to a database later.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evaluation_metrics",
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("mlflow_version", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("value", DOUBLE_PRECISION, nullable=False),
        sa.Column("data_sha256", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model_name", "metric", "time", "run_id", "model_version"),
        schema="wine_quality",
    )


def downgrade() -> None:
    op.drop_table("evaluation_metrics", schema="wine_quality")
