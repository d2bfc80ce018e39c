-- An object is its whole name: a digest named first under a false base must neither hide nor unprotect the object itself.
-- checked_at_ms: when `verify` last found the object good; 0 for never.
CREATE TABLE named_whole (
    kind TEXT NOT NULL,
    base INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checked_at_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, base, sha256)
) WITHOUT ROWID;
INSERT INTO named_whole(kind, base, sha256, bytes, seq) SELECT kind, base, sha256, bytes, seq FROM named;
DROP TABLE named;
ALTER TABLE named_whole RENAME TO named;
CREATE INDEX named_by_slot ON named (seq);
CREATE INDEX named_by_digest ON named (sha256);
-- An id is random and a device is always the same: the index begins with what tells rows apart.
DROP INDEX slots_by_commit;
CREATE INDEX slots_by_commit ON slots (commit_id, device);
