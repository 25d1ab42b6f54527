-- What a list says of an asset. `migrate.rs` derives it for the assets of version 2; none: the asset cannot be read.
ALTER TABLE asset ADD COLUMN summary TEXT;

-- Texts that jobs refer to instead of holding them: descriptions of assets and code, by their SHA-256. A text goes with the
-- last job that refers to it.
CREATE TABLE document (sha256 BLOB PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE job_document (
    seq INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (seq, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_document_sha256 ON job_document (sha256);
