-- Where importers stopped, and which node each log line became. Keys are bytes: file names need not be UTF-8.
CREATE TABLE cursors (
    source BLOB PRIMARY KEY,
    state TEXT NOT NULL                     -- JSON, the importer's own
) STRICT, WITHOUT ROWID;

CREATE TABLE line_nodes (
    harness TEXT NOT NULL,
    key BLOB NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (harness, key)
) STRICT, WITHOUT ROWID;
