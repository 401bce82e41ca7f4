"""The tables of the sandbox's account."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS profiles (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, email TEXT, email_key TEXT UNIQUE, phone_number TEXT UNIQUE,
  external_id TEXT UNIQUE, attributes BLOB NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS secondary_emails (
  email_key TEXT PRIMARY KEY, email TEXT NOT NULL, profile INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lists (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT NOT NULL, opt_in_process TEXT NOT NULL, created REAL NOT NULL,
  updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS members (
  list_id TEXT NOT NULL, profile INTEGER NOT NULL, joined_at REAL NOT NULL,
  PRIMARY KEY (list_id, profile)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, status TEXT NOT NULL, payload BLOB, lists TEXT NOT NULL,
  created REAL NOT NULL, started REAL, completed REAL, expires REAL NOT NULL, due REAL, total INTEGER NOT NULL,
  completed_count INTEGER, failed_count INTEGER, fault TEXT);
CREATE TABLE IF NOT EXISTS job_errors (
  job INTEGER NOT NULL, number INTEGER NOT NULL, code TEXT NOT NULL, title TEXT NOT NULL, detail TEXT NOT NULL,
  pointer TEXT NOT NULL, payload BLOB, PRIMARY KEY (job, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job_profiles (
  job INTEGER NOT NULL, profile INTEGER NOT NULL, PRIMARY KEY (job, profile)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consents (
  profile INTEGER NOT NULL, channel TEXT NOT NULL, consent TEXT NOT NULL, at REAL NOT NULL, updated REAL NOT NULL,
  method TEXT, custom_detail TEXT, double_optin INTEGER NOT NULL, PRIMARY KEY (profile, channel)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suppressions (
  profile INTEGER NOT NULL, list_id TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (profile, list_id, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suppression_jobs (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, action TEXT NOT NULL, status TEXT NOT NULL, payload BLOB NOT NULL,
  list_id TEXT, created REAL NOT NULL, due REAL NOT NULL, completed REAL, total INTEGER NOT NULL,
  completed_count INTEGER, skipped_count INTEGER, fault TEXT);
CREATE TABLE IF NOT EXISTS opt_ins (
  medium TEXT NOT NULL, address TEXT NOT NULL, list_id TEXT NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (medium, address, list_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL, due REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
  medium TEXT NOT NULL, address TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (medium, address, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT NOT NULL, integration TEXT NOT NULL, created REAL NOT NULL,
  updated REAL NOT NULL, UNIQUE (name, integration));
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, profile INTEGER NOT NULL, metric INTEGER NOT NULL, at INTEGER NOT NULL,
  key TEXT, unique_id TEXT, value TEXT, currency TEXT, properties BLOB NOT NULL, backfill INTEGER NOT NULL,
  UNIQUE (profile, metric, key));
CREATE TABLE IF NOT EXISTS webhooks (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT NOT NULL, description TEXT, endpoint_url TEXT NOT NULL,
  secret TEXT NOT NULL, topics TEXT NOT NULL, enabled INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
  failures INTEGER NOT NULL, failing_since REAL, next_try REAL);
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY, webhook INTEGER NOT NULL, topic TEXT NOT NULL, event INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS earlier (kind TEXT NOT NULL, key NOT NULL, until REAL NOT NULL, shown TEXT);
CREATE INDEX IF NOT EXISTS earlier_key ON earlier (kind, key);
CREATE TABLE IF NOT EXISTS set_aside (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (seq INTEGER PRIMARY KEY, at REAL NOT NULL);
"""
"""``list_id`` is empty for what concerns no list. ``events.key`` is what an event may not share with another one of its
profile and metric; Klaviyo's own events have none. ``value`` is JSON, so that figures stay as they came."""

TABLES: Final = (
    "profiles",
    "secondary_emails",
    "lists",
    "members",
    "jobs",
    "job_errors",
    "job_profiles",
    "consents",
    "suppressions",
    "suppression_jobs",
    "opt_ins",
    "pending",
    "messages",
    "metrics",
    "events",
    "webhooks",
    "outbox",
    "earlier",
    "set_aside",
    "deleted",
)
