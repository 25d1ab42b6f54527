-- The datasets that need the results of a job, however many they are: version 5 had one for each job, which the job had registered.
-- `migrate.rs` adds those that were published.
CREATE TABLE kept_for (job BLOB NOT NULL, did TEXT NOT NULL, PRIMARY KEY (job, did)) STRICT, WITHOUT ROWID;
INSERT INTO kept_for (job, did) SELECT job, did FROM kept;
DROP TABLE kept;
ALTER TABLE kept_for RENAME TO kept;
