-- The log as this device verified it. Rows are never changed: a slot that differs later is evidence against the bucket.
CREATE TABLE slots (
    seq INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL,
    void_reason TEXT,
    team_events INTEGER NOT NULL,
    prev BLOB,
    device TEXT,
    commit_id TEXT,
    data BLOB NOT NULL
);
-- An id is random and a device is always the same: the index begins with what tells rows apart.
CREATE INDEX slots_by_commit ON slots (commit_id, device);
CREATE INDEX slots_of_team ON slots (seq) WHERE team_events = 1;
-- An object is its whole name: a digest named first under a false base must neither hide nor unprotect the object itself.
-- checked_at_ms: when `verify` last found the object good; 0 for never.
CREATE TABLE named (
    kind TEXT NOT NULL,
    base INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    checked_at_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, base, sha256)
) WITHOUT ROWID;
CREATE INDEX named_by_slot ON named (seq);
CREATE INDEX named_by_digest ON named (sha256);
-- One row per naming: a stranger who names somebody's manifest first must not make its author's own commit count for nothing.
CREATE TABLE manifests (
    seq INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    base INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    space BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    device BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'refused', 'foreign')),
    PRIMARY KEY (seq, sha256)
) WITHOUT ROWID;
CREATE INDEX manifests_by_state ON manifests (state, seq);
CREATE INDEX manifests_by_digest ON manifests (sha256);
-- The attempt under way: at most one row.
CREATE TABLE journal (seq INTEGER NOT NULL, data BLOB NOT NULL);
-- Tags are keyed hashes: they tell nobody who lacks this device's key what the team has.
CREATE TABLE synced (tag BLOB PRIMARY KEY, output INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations (tag BLOB PRIMARY KEY, manifest TEXT NOT NULL, last_c BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE leaf_counts (
    tag BLOB NOT NULL,
    device BLOB NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tag, device)
) WITHOUT ROWID;
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
