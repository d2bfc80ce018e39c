-- Which store this is. A replica remembers up to which change a store was pushed: of this one, not of one that took its place.
CREATE TABLE store (id BLOB NOT NULL) STRICT;
INSERT INTO store VALUES (randomblob(16));
