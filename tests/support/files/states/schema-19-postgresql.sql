CREATE TABLE failed_commands ( label TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL, failed_at DOUBLE PRECISION NOT NULL, command TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, hint TEXT NOT NULL, run TEXT, PRIMARY KEY (label, source, kind) );

CREATE TABLE told_conditions ( account TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, condition TEXT NOT NULL, since DOUBLE PRECISION NOT NULL, PRIMARY KEY (account, source, kind) );

CREATE TABLE alerts ( id BIGSERIAL NOT NULL, account TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, raised_at DOUBLE PRECISION NOT NULL, body TEXT NOT NULL, rule TEXT NOT NULL, done_at DOUBLE PRECISION, owner TEXT, owned_until DOUBLE PRECISION, PRIMARY KEY (id) );

CREATE TABLE alert_deliveries ( alert BIGINT NOT NULL, channel TEXT NOT NULL, attempts BIGINT DEFAULT '0' NOT NULL, delivered_at DOUBLE PRECISION, problem TEXT DEFAULT '' NOT NULL, PRIMARY KEY (alert, channel) );

CREATE TABLE runs ( seq BIGSERIAL NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL, source TEXT NOT NULL, mapping_hash TEXT NOT NULL, mapping TEXT NOT NULL, account TEXT, command TEXT NOT NULL, tool_version TEXT NOT NULL, options TEXT NOT NULL, parent TEXT, pilot SMALLINT DEFAULT '0' NOT NULL, started_at DOUBLE PRECISION NOT NULL, staged_at DOUBLE PRECISION, finished_at DOUBLE PRECISION, details TEXT DEFAULT '{}' NOT NULL, PRIMARY KEY (seq), UNIQUE (id) );

CREATE TABLE blocks ( run BIGINT NOT NULL, first_line BIGINT NOT NULL, last_line BIGINT NOT NULL, cells BYTEA NOT NULL, ragged BYTEA NOT NULL, PRIMARY KEY (run, first_line) );

CREATE TABLE rows ( run BIGINT NOT NULL, line BIGINT NOT NULL, outcome TEXT, code TEXT, step TEXT NOT NULL, unchanged SMALLINT DEFAULT '0' NOT NULL, primary_line BIGINT, batch BIGINT, ops SMALLINT DEFAULT '0' NOT NULL, klaviyo_id TEXT, PRIMARY KEY (run, line) );

CREATE TABLE record_blocks ( run BIGINT NOT NULL, first_line BIGINT NOT NULL, last_line BIGINT NOT NULL, lines BYTEA NOT NULL, sizes BYTEA NOT NULL, fingerprints BYTEA NOT NULL, identities BYTEA NOT NULL, hashes BYTEA NOT NULL, extras BYTEA NOT NULL, bodies BYTEA NOT NULL, PRIMARY KEY (run, first_line) );

CREATE TABLE records ( run BIGINT NOT NULL, line BIGINT NOT NULL, body BYTEA NOT NULL, fingerprint BYTEA NOT NULL, identity BYTEA NOT NULL, lists TEXT, clears SMALLINT DEFAULT '0' NOT NULL, PRIMARY KEY (run, line) );

CREATE TABLE issues ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, line BIGINT NOT NULL, stage TEXT NOT NULL, code TEXT NOT NULL, column_name TEXT, detail TEXT NOT NULL, severity TEXT NOT NULL, suggestion TEXT NOT NULL, left_out SMALLINT DEFAULT '0' NOT NULL, PRIMARY KEY (id) );

CREATE INDEX issues_by_line ON issues (run, line);

CREATE TABLE known_profiles ( account TEXT NOT NULL, identity BYTEA NOT NULL, fingerprint BYTEA NOT NULL, mapping_hash TEXT NOT NULL, klaviyo_id TEXT, confirmed_at DOUBLE PRECISION NOT NULL, run BIGINT NOT NULL, PRIMARY KEY (account, identity) );

CREATE TABLE known_memberships ( account TEXT NOT NULL, identity BYTEA NOT NULL, list_id TEXT NOT NULL, PRIMARY KEY (account, identity, list_id) );

CREATE TABLE confirmed_profiles ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, identity BYTEA NOT NULL, fingerprint BYTEA NOT NULL, klaviyo_id TEXT, confirmed_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (id) );

CREATE TABLE confirmed_memberships ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, identity BYTEA NOT NULL, list_id TEXT NOT NULL, member SMALLINT NOT NULL, PRIMARY KEY (id) );

CREATE TABLE observations ( run BIGINT NOT NULL, line BIGINT NOT NULL, verdict TEXT NOT NULL, fields TEXT NOT NULL, observed_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (run, line) );

CREATE TABLE watermarks ( account TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, run BIGINT NOT NULL, moved_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (account, source) );

CREATE TABLE consents ( run BIGINT NOT NULL, line BIGINT NOT NULL, channel TEXT NOT NULL, wish TEXT NOT NULL, at TEXT NOT NULL, source TEXT NOT NULL, birthday TEXT NOT NULL, result TEXT, PRIMARY KEY (run, line, channel) );

CREATE TABLE source_opt_outs ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, channel TEXT NOT NULL, certain SMALLINT NOT NULL, name TEXT NOT NULL, hashes BYTEA NOT NULL, PRIMARY KEY (id) );

CREATE INDEX source_opt_outs_by_run ON source_opt_outs (run, channel);

CREATE TABLE notices ( id BIGSERIAL NOT NULL, account TEXT NOT NULL, event_id TEXT NOT NULL, topic TEXT NOT NULL, kind TEXT NOT NULL, channel TEXT NOT NULL, email TEXT, phone_number TEXT, profile_id TEXT, happened_at DOUBLE PRECISION NOT NULL, received_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (id), CONSTRAINT notices_once UNIQUE (account, event_id) );

CREATE INDEX notices_by_profile ON notices (account, profile_id);

CREATE INDEX notices_by_email ON notices (account, email);

CREATE INDEX notices_by_phone ON notices (account, phone_number);

CREATE TABLE forgotten ( account TEXT NOT NULL, digest BYTEA NOT NULL, person BYTEA NOT NULL, forgotten_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (account, digest) );

CREATE TABLE salts ( name TEXT NOT NULL, salt BYTEA NOT NULL, PRIMARY KEY (name) );

CREATE TABLE outbox ( id BIGSERIAL NOT NULL, kind TEXT NOT NULL, body BYTEA NOT NULL, accepted_at DOUBLE PRECISION NOT NULL, attempts BIGINT DEFAULT '0' NOT NULL, not_before DOUBLE PRECISION DEFAULT '0' NOT NULL, done_at DOUBLE PRECISION, result TEXT, uid TEXT, owner TEXT, owned_until DOUBLE PRECISION, progress TEXT, account TEXT, PRIMARY KEY (id) );

CREATE INDEX outbox_waiting ON outbox (done_at, not_before);

CREATE TABLE outbox_keys ( parcel BIGINT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (parcel, key) );

CREATE INDEX outbox_by_key ON outbox_keys (key);

CREATE TABLE kept_fields ( run BIGINT NOT NULL, line BIGINT NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (run, line) );

CREATE TABLE merges ( run BIGINT NOT NULL, line BIGINT NOT NULL, lines TEXT NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (run, line) );

CREATE TABLE profile_merges ( run BIGINT NOT NULL, source TEXT NOT NULL, line BIGINT NOT NULL, destination TEXT NOT NULL, status TEXT NOT NULL, attempts BIGINT DEFAULT '0' NOT NULL, sent_at DOUBLE PRECISION, PRIMARY KEY (run, source) );

CREATE TABLE moves ( id TEXT NOT NULL, status TEXT NOT NULL, place TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, PRIMARY KEY (id) );

CREATE TABLE migrations ( number BIGINT NOT NULL, name TEXT NOT NULL, applied_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (number) );

CREATE TABLE owners ( account TEXT NOT NULL, token BIGINT NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (account) );

CREATE TABLE batches ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, members BYTEA NOT NULL, row_count BIGINT NOT NULL, lists TEXT NOT NULL, size BIGINT NOT NULL, parent BIGINT, job_id TEXT, expires_at DOUBLE PRECISION, attempts BIGINT DEFAULT '0' NOT NULL, not_before DOUBLE PRECISION DEFAULT '0' NOT NULL, sent_at DOUBLE PRECISION, resent SMALLINT DEFAULT '0' NOT NULL, adopted SMALLINT DEFAULT '0' NOT NULL, PRIMARY KEY (id), FOREIGN KEY(run) REFERENCES runs (seq) );

CREATE INDEX batches_by_status ON batches (run, status);

CREATE TABLE attempts ( batch BIGINT NOT NULL, number BIGINT NOT NULL, started_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, reply TEXT, status BIGINT, detail TEXT, PRIMARY KEY (batch, number), FOREIGN KEY(batch) REFERENCES batches (id) );

CREATE TABLE before_values ( id BIGSERIAL NOT NULL, run BIGINT NOT NULL, batch BIGINT NOT NULL, origin BIGINT NOT NULL, first_line BIGINT NOT NULL, last_line BIGINT NOT NULL, row_count BIGINT NOT NULL, block BYTEA NOT NULL, PRIMARY KEY (id), FOREIGN KEY(batch) REFERENCES batches (id) );

CREATE INDEX before_values_by_line ON before_values (run, first_line, id);

CREATE INDEX before_values_by_batch ON before_values (batch);

CREATE FUNCTION rows_outcome_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: an outcome is written once; only what is read back replaces it' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER rows_outcome_once BEFORE UPDATE ON rows FOR EACH ROW WHEN (OLD.outcome IS NOT NULL AND (NEW.outcome IS NULL OR NEW.outcome <> OLD.outcome) AND NOT (coalesce(NEW.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs') AND (OLD.outcome IN ('loaded', 'unchanged') OR coalesce(OLD.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs')) OR NEW.outcome IN ('loaded', 'unchanged') AND coalesce(OLD.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs'))) EXECUTE FUNCTION rows_outcome_once();

CREATE FUNCTION rows_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT status FROM runs WHERE seq = OLD.run) <> 'staging' THEN RAISE EXCEPTION 'write-once: a row of a staged run is not deleted' USING ERRCODE = '23514'; END IF; RETURN OLD; END $$;

CREATE TRIGGER rows_keep BEFORE DELETE ON rows FOR EACH ROW EXECUTE FUNCTION rows_keep();

CREATE FUNCTION runs_forward() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a run does not go back to staging, nor on after its end' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER runs_forward BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.status <> OLD.status AND (NEW.status = 'staging' OR OLD.status = 'finished')) EXECUTE FUNCTION runs_forward();

CREATE FUNCTION runs_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a staged run is not deleted' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER runs_keep BEFORE DELETE ON runs FOR EACH ROW WHEN (OLD.status <> 'staging') EXECUTE FUNCTION runs_keep();

CREATE FUNCTION batches_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a settled or superseded batch does not change' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER batches_final BEFORE UPDATE ON batches FOR EACH ROW WHEN (OLD.status IN ('settled', 'superseded')) EXECUTE FUNCTION batches_final();

CREATE FUNCTION batches_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a batch moves planned, sending, submitted, settled' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER batches_transition BEFORE UPDATE ON batches FOR EACH ROW WHEN (OLD.status NOT IN ('settled', 'superseded') AND NEW.status <> OLD.status AND NOT ((OLD.status = 'planned' AND NEW.status = 'sending') OR (OLD.status = 'planned' AND NEW.status = 'settled') OR (OLD.status = 'planned' AND NEW.status = 'superseded') OR (OLD.status = 'sending' AND NEW.status = 'planned') OR (OLD.status = 'sending' AND NEW.status = 'submitted') OR (OLD.status = 'sending' AND NEW.status = 'settled') OR (OLD.status = 'sending' AND NEW.status = 'superseded') OR (OLD.status = 'submitted' AND NEW.status = 'planned') OR (OLD.status = 'submitted' AND NEW.status = 'settled') OR (OLD.status = 'submitted' AND NEW.status = 'superseded'))) EXECUTE FUNCTION batches_transition();

CREATE FUNCTION batches_members() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a batch keeps its rows, and its attempts only grow' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER batches_members BEFORE UPDATE ON batches FOR EACH ROW WHEN (NEW.members <> OLD.members OR NEW.attempts < OLD.attempts) EXECUTE FUNCTION batches_members();

CREATE FUNCTION batches_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: a batch is not deleted' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER batches_keep BEFORE DELETE ON batches FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION batches_keep();

CREATE FUNCTION attempts_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: an ended attempt does not change' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER attempts_once BEFORE UPDATE ON attempts FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL AND NOT (NEW.detail IS NULL AND NEW.batch = OLD.batch AND NEW.number = OLD.number AND NEW.started_at = OLD.started_at AND NEW.ended_at = OLD.ended_at AND coalesce(NEW.reply, '') = coalesce(OLD.reply, '') AND coalesce(NEW.status, -1) = coalesce(OLD.status, -1))) EXECUTE FUNCTION attempts_once();

CREATE FUNCTION attempts_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: an attempt is not deleted' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER attempts_keep BEFORE DELETE ON attempts FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION attempts_keep();

CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: the table is not emptied' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER runs_truncate BEFORE TRUNCATE ON runs EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER rows_truncate BEFORE TRUNCATE ON rows EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER batches_truncate BEFORE TRUNCATE ON batches EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER attempts_truncate BEFORE TRUNCATE ON attempts EXECUTE FUNCTION refuse_truncate();

DROP TRIGGER IF EXISTS rows_outcome_once ON rows;

DROP FUNCTION IF EXISTS rows_outcome_once();

CREATE FUNCTION rows_outcome_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: an outcome is written once; only what is read back replaces it' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER rows_outcome_once BEFORE UPDATE ON rows FOR EACH ROW WHEN (OLD.outcome IS NOT NULL AND (NEW.outcome IS NULL OR NEW.outcome <> OLD.outcome) AND NOT (coalesce(NEW.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs') AND (OLD.outcome IN ('loaded', 'unchanged') OR coalesce(OLD.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs')) OR NEW.outcome IN ('loaded', 'unchanged') AND coalesce(OLD.code, '') IN ('verify-missing', 'verify-unseen', 'verify-differs'))) EXECUTE FUNCTION rows_outcome_once();

DROP TRIGGER IF EXISTS attempts_once ON attempts;

DROP FUNCTION IF EXISTS attempts_once();

CREATE FUNCTION attempts_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'write-once: an ended attempt does not change' USING ERRCODE = '23514'; END $$;

CREATE TRIGGER attempts_once BEFORE UPDATE ON attempts FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL AND NOT (NEW.detail IS NULL AND NEW.batch = OLD.batch AND NEW.number = OLD.number AND NEW.started_at = OLD.started_at AND NEW.ended_at = OLD.ended_at AND coalesce(NEW.reply, '') = coalesce(OLD.reply, '') AND coalesce(NEW.status, -1) = coalesce(OLD.status, -1))) EXECUTE FUNCTION attempts_once();

