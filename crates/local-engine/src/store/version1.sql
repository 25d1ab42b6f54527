-- One row for each job. `seq` is the order of submission; `status` is the JobStatus as JSON, and the columns repeat what
-- is searched for.
CREATE TABLE job (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    keep_ms INTEGER NOT NULL,
    expires INTEGER,
    status TEXT NOT NULL
) STRICT;
CREATE INDEX job_created ON job (created, id);
CREATE INDEX job_phase ON job (phase, created, id);
CREATE INDEX job_expires ON job (expires) WHERE expires IS NOT NULL;

-- What a status does not need to be read for: the job as submitted, what filtering let pass and publishing has not
-- stored yet, what was released, what the host reports. All JSON.
CREATE TABLE spec (seq INTEGER PRIMARY KEY, spec TEXT NOT NULL) STRICT;
CREATE TABLE outgoing (seq INTEGER PRIMARY KEY, files TEXT NOT NULL) STRICT;
CREATE TABLE result (seq INTEGER PRIMARY KEY, files TEXT NOT NULL) STRICT;
CREATE TABLE report (seq INTEGER PRIMARY KEY, report TEXT NOT NULL) STRICT;

-- The jobs that have a label, newest first: a page of a list is a range.
CREATE TABLE label (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created INTEGER NOT NULL,
    id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (name, value, created DESC, id DESC)
) STRICT, WITHOUT ROWID;

-- Jobs whose results an asset needs, and removed jobs whose files are still to go.
CREATE TABLE kept (job BLOB PRIMARY KEY, did TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE gone (job BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE asset (
    did TEXT NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    withdrawn INTEGER,
    asset TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX asset_name ON asset (owner, kind, name);
CREATE INDEX asset_kind ON asset (kind, did);
CREATE INDEX asset_owner ON asset (owner, kind, did);

CREATE TABLE key (id TEXT PRIMARY KEY, account TEXT NOT NULL, created INTEGER NOT NULL, key TEXT NOT NULL) STRICT;
CREATE INDEX key_created ON key (created, id);
CREATE INDEX key_account ON key (account, created, id);

CREATE TABLE nonce (
    account TEXT NOT NULL,
    nonce TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (account, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_until ON nonce (until);

CREATE TABLE upload (
    owner TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    upload TEXT NOT NULL,
    PRIMARY KEY (owner, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_sha256 ON upload (sha256);

-- Written to when somebody asks whether it can be.
CREATE TABLE touched (times INTEGER NOT NULL) STRICT;
INSERT INTO touched (times) VALUES (0);

-- The audit log. It only grows.
CREATE TABLE audit (sequence INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
