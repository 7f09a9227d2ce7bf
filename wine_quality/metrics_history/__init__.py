"""A time series of evaluation metrics in PostgreSQL, as a hypertable where TimescaleDB is there."""
