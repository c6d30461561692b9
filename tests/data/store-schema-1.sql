-- A store as schema 1 left it: a job that waits, one that is over, and its callback on the way.
CREATE TABLE jobs ( sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, route TEXT NOT NULL, state INTEGER NOT NULL, priority INTEGER NOT NULL, run_at INTEGER NOT NULL, attempts INTEGER NOT NULL, losses INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL, lease INTEGER NOT NULL, cancel_requested INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, started_at INTEGER NOT NULL DEFAULT 0, finished_at INTEGER NOT NULL DEFAULT 0, body_hash BLOB NOT NULL, callback_url TEXT, result TEXT, error_code TEXT, error_message TEXT);
CREATE INDEX jobs_ready ON jobs (route, priority DESC, sequence) WHERE state = 0 AND run_at = 0;
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 0 AND run_at > 0;
CREATE INDEX jobs_running ON jobs (sequence) WHERE state = 1;
CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE state >= 2;
CREATE TABLE payloads (sequence INTEGER PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE deliveries ( sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job_sequence INTEGER NOT NULL, job_id TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, created_at INTEGER NOT NULL, next_at INTEGER NOT NULL, give_up_at INTEGER NOT NULL, last_error TEXT);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 0;
CREATE INDEX deliveries_dead ON deliveries (sequence) WHERE state = 2;
CREATE INDEX deliveries_job ON deliveries (job_sequence);
CREATE TABLE host (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO host VALUES ('starts', 0);
INSERT INTO jobs (sequence, id, task, route, state, priority, run_at, attempts, max_attempts, lease, created_at, body_hash)
 VALUES (1, 'waits', 'noop', 'noop', 0, 0, 0, 0, 5, 0, 1000, zeroblob(32));
INSERT INTO jobs (sequence, id, task, route, state, priority, run_at, attempts, max_attempts, lease, created_at, started_at, finished_at, body_hash, callback_url, result)
 VALUES (2, 'over', 'noop', 'noop', 2, 0, 0, 1, 5, 1099511627777, 1000, 1000, 2000, zeroblob(32), 'http://example.org/', '{}');
INSERT INTO payloads VALUES (1, '{"x":1}'), (2, '{}');
INSERT INTO deliveries (id, job_sequence, job_id, target, body, state, attempts, created_at, next_at, give_up_at)
 VALUES ('msg_1', 2, 'over', 'http://example.org/', '{}', 0, 0, 2000, 2000, 9000000000000);
UPDATE host SET value = 1;
PRAGMA user_version = 1;
