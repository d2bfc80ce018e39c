-- This device's own turns. A listing reads `nodes` alone; the stored JSON stands apart, so that it pages past no text.
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,                 -- in order of insertion: parents before children within a conversation
    hash TEXT NOT NULL UNIQUE,
    hash_version TEXT,
    parent_hash TEXT,                       -- may name a node that is not here
    conversation TEXT NOT NULL,             -- hash of the topmost ancestor known at insertion; never changes
    superseded_by TEXT,                     -- the complete node, when this one was read while still growing
    change INTEGER NOT NULL,                -- grows with every insertion or alteration of any row
    stored_bytes INTEGER NOT NULL,
    harness TEXT,
    harness_session TEXT,
    usage_id TEXT,
    project TEXT,
    agent TEXT,
    provider TEXT,
    model TEXT,
    role TEXT,
    kind TEXT,
    stop_reason TEXT,
    created_us INTEGER,                     -- microseconds since 1970 UTC
    input_uncached INTEGER,                 -- tokens
    cache_read INTEGER,
    cache_write INTEGER,
    cache_write_1h INTEGER,
    output INTEGER,
    cost_usd_micro INTEGER,
    cost_source TEXT,
    cost_table TEXT,
    tool_calls INTEGER NOT NULL,
    tool_errors INTEGER NOT NULL,
    git_activity INTEGER NOT NULL,
    tools TEXT                              -- names of the tools called, each once, one per line
) STRICT;

CREATE INDEX nodes_parent ON nodes (parent_hash);
CREATE INDEX nodes_conversation ON nodes (conversation, id);
CREATE INDEX nodes_change ON nodes (change);
CREATE INDEX nodes_stored_bytes ON nodes (stored_bytes);
CREATE INDEX nodes_project ON nodes (project);
CREATE INDEX nodes_harness_session ON nodes (harness_session);
CREATE INDEX nodes_first ON nodes (id) WHERE hash = conversation; -- one of each conversation: how many there are is in it

CREATE TABLE node_json (
    id INTEGER PRIMARY KEY,                 -- nodes.id
    json BLOB NOT NULL
) STRICT;
