-- The log as this device verified it. Rows are never changed: a slot that differs later is evidence against the bucket.
CREATE TABLE slots (
    seq INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL,
    void_reason TEXT,
    team_events INTEGER NOT NULL,
    prev BLOB,
    device BLOB,
    commit_id BLOB,
    objects INTEGER NOT NULL, -- how many objects the commit names
    data BLOB NOT NULL
);
-- A device never says the same commit twice; void slots have neither. The id, which is random, tells rows apart: it comes first.
CREATE UNIQUE INDEX slots_by_commit ON slots (commit_id, device);
CREATE INDEX slots_of_team ON slots (seq) WHERE team_events = 1;
-- An object is its whole name: a digest named first under a false base must neither hide nor unprotect the object itself.
-- One tree and no index beside it: a bootstrap writes three rows per commit here, each at a random place.
CREATE TABLE named (
    sha256 BLOB NOT NULL,
    kind TEXT NOT NULL,
    base INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (sha256, kind, base)
) WITHOUT ROWID;
-- When `verify` last found all objects of a slot good; a slot without a row was never checked.
CREATE TABLE checked (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
-- One row per naming: a stranger who names somebody's manifest first must not make its author's own commit count for nothing.
CREATE TABLE manifests (
    seq INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    base INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    space BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    device BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'refused', 'foreign', 'given up')),
    PRIMARY KEY (seq, sha256)
) WITHOUT ROWID;
CREATE INDEX manifests_by_state ON manifests (state, seq);
-- Only what was taken in is asked for by digest: a bootstrap, where all are pending, pays nothing.
CREATE INDEX manifests_applied ON manifests (sha256) WHERE state = 'applied';
-- Objects of published stats, one row per naming like manifests.
CREATE TABLE published (
    seq INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL,
    base INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    space BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    device BLOB NOT NULL
);
-- The attempt under way: at most one row.
CREATE TABLE journal (seq INTEGER NOT NULL, data BLOB NOT NULL);
-- Tags are keyed hashes: they tell nobody who lacks this device's key what the team has.
-- synced: what each space has. `own_output` and `own_content` are what a commit of this very member holds, -1 and 0 where none does:
-- what others say they pushed is their word, and no reason to keep ours back. `content`, anybody's: 0 where only a node's metadata
-- is there, and what was said in it is withheld.
CREATE TABLE synced (
    tag BLOB PRIMARY KEY,
    content INTEGER NOT NULL CHECK (content IN (0, 1)),
    own_output INTEGER NOT NULL,
    own_content INTEGER NOT NULL CHECK (own_content IN (0, 1))
) WITHOUT ROWID;
CREATE INDEX synced_withheld ON synced (tag) WHERE content = 0;
-- The newest manifest taken in that opens a leaf of the conversation.
CREATE TABLE conversations (tag BLOB PRIMARY KEY, seq INTEGER NOT NULL, manifest TEXT NOT NULL) WITHOUT ROWID;
-- The leaves of manifests taken in, by the tag of their K_tag: history, since a manifest that comes late is judged at its own place.
CREATE TABLE leaves (
    run BLOB NOT NULL,
    seq INTEGER NOT NULL,
    device BLOB NOT NULL,
    j INTEGER NOT NULL,
    c BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
