-- What a job's owner, its publishers and its log need to know of it, without its secrets. Version 1 had it in the
-- specification only; `migrate.rs` derives it from there.
CREATE TABLE card (seq INTEGER PRIMARY KEY, card TEXT NOT NULL) STRICT;

-- Exclusive rights to names, by kind and digest. `job` is the job that holds a claim until it ends; a claim of an asset
-- on its name has no job. One with `until` may be forgotten then.
CREATE TABLE claim (
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    job BLOB,
    until INTEGER,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_until ON claim (until) WHERE until IS NOT NULL;
CREATE INDEX claim_job ON claim (job) WHERE job IS NOT NULL;

-- The receipts of ended jobs. They stay when a job is removed.
CREATE TABLE receipt (job BLOB PRIMARY KEY, receipt TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Readiness is no longer tested by writing a row.
DROP TABLE touched;
