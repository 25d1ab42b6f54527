-- Bytes of the released results of each job, by its owner: what one account may have only so much of. `migrate.rs` derives it for
-- the jobs of version 3.
CREATE TABLE stored (seq INTEGER PRIMARY KEY, owner TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT;
CREATE INDEX stored_owner ON stored (owner, bytes);

-- When an upload was sent last. `migrate.rs` derives it.
ALTER TABLE upload ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
CREATE INDEX upload_created ON upload (created);

-- Up to which record the audit log is archived. What comes after it cannot be deleted.
CREATE TABLE archived (through INTEGER NOT NULL) STRICT;
INSERT INTO archived (through) VALUES (0);
DROP TRIGGER audit_delete;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit WHEN OLD.sequence > (SELECT max(through) FROM archived)
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
