"""What all tables of state belong to, and the type of their whole numbers."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

Integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits on PostgreSQL; on SQLite the only type that can count itself up."""
