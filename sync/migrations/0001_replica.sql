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
CREATE INDEX slots_by_commit ON slots (device, commit_id);
CREATE INDEX slots_of_team ON slots (seq) WHERE team_events = 1;
CREATE TABLE named (
    sha256 TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    base INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX named_by_slot ON named (seq);
CREATE TABLE manifests (
    sha256 TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    space BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    device BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'refused', 'foreign'))
) WITHOUT ROWID;
CREATE INDEX manifests_by_state ON manifests (state, seq);
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
