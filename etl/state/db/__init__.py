"""The database: schema, engine, triggers, lock, and what its errors mean."""
