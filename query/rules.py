"""The rules that make one row per node out of everybody's rows: whose metadata is shown, and what counts once.

Input: `every_row` (`arrival`, in log order; `origin`; columns of store/manifest_schema.py without member, device and opening)
and `origins` (origin, seq, team, member, device). Output: the table `rows` (query/source.py lists the columns), and the views
`stored` (where each node's bytes lie) and `counts` (what each row adds to a sum).
"""

from typing import Final

# DESIGN §4 "Metadata": node hashes do not cover it, so of several rows of a node the one shown comes from the member who
# committed the node first; of that member's, the largest output (a later import saw the message complete), then the later
# commit. So nobody rewrites another's metadata by pushing the same node again. A row without a commit (seq null) has no rival:
# it is only taken in where no commit has the node.
# Content may come in a later commit than metadata, or never: by the same member, or by anybody where the hash proves the bytes.
_WINNERS: Final = """
CREATE TABLE winners AS
WITH said AS (
    SELECT hash, arrival, pack IS NOT NULL AS placed, hash_version IS NOT NULL AS verified, coalesce(output, -1) AS output,
        seq, team, member
    FROM every_row JOIN origins USING (origin)
), nodes AS (
    SELECT hash, count(*) AS times, min(arrival) AS arrival, arg_min(member, arrival) AS first_member, min(seq) AS first_seq,
        bool_or(team) AS team, bool_or(placed) AS placed
    FROM said GROUP BY hash
), rivals AS (
    SELECT said.hash, said.arrival, said.placed, said.verified, seq, member = first_member AS theirs,
        ROW(member = first_member, output, seq, said.arrival) AS rank
    FROM said JOIN nodes USING (hash) WHERE times > 1
), best AS (
    SELECT hash, arg_max(arrival, rank) AS arrival,
        arg_max(arrival, rank) FILTER (placed AND (theirs OR verified)) AS placed_arrival
    FROM rivals GROUP BY hash
), chosen AS (
    SELECT arrival, if(placed, arrival, NULL) AS placed_arrival, first_seq, team
    FROM nodes WHERE times = 1
    UNION ALL
    SELECT best.arrival, best.placed_arrival, first_seq, team FROM nodes JOIN best USING (hash)
)
SELECT row_number() OVER (ORDER BY arrival) - 1 AS id, * FROM chosen
"""

# Rows that share a usage id are re-logs of one model call: replays, forks, a message read while it was still growing. Its tokens
# and its cost count once, for the member who committed the call first (else anybody could zero another's count by copying the
# id): by that member's row with the largest output. Ties go as query/heads.py decides which twin is a session, or the call would
# be counted on a path that is listed nowhere: to the node that the conversation went on from, the longest, the smallest hash.
_USAGE: Final = """
CREATE TABLE relogs AS
WITH calls AS (
    SELECT usage_id, id, hash, member, coalesce(output, -1) AS output, coalesce(first_seq, 9223372036854775807) AS first_seq,
        stored_bytes
    FROM every_row JOIN winners USING (arrival) JOIN origins USING (origin) WHERE usage_id IS NOT NULL
), firsts AS (
    SELECT usage_id, arg_min(member, ROW(first_seq, id)) AS first_member FROM calls GROUP BY usage_id HAVING count(*) > 1
), twins AS (
    SELECT calls.*, member IS DISTINCT FROM first_member AS copied FROM calls JOIN firsts USING (usage_id)
), uppers AS (
    SELECT DISTINCT parent AS hash, true AS went_on FROM every_row JOIN winners USING (arrival)
    WHERE parent IN (SELECT hash FROM twins)
)
SELECT usage_id, arg_min(id, ROW(copied, -output, went_on IS NULL, -stored_bytes, hash)) AS counted_id
FROM twins LEFT JOIN uppers USING (hash) GROUP BY usage_id
"""

_ROWS: Final = """
CREATE TABLE rows AS
SELECT id, every_row.*, member, device, seq, first_seq,
    CASE WHEN seq IS NOT NULL THEN if(winners.team, 'team', 'private') END AS space,
    counted_id IS NULL OR counted_id = id AS counted, seq IS NOT NULL AND placed_arrival IS NULL AS withheld
FROM every_row JOIN winners USING (arrival) JOIN origins USING (origin) LEFT JOIN relogs USING (usage_id)
"""

# Where each node's bytes lie: by its shown row, or, where that carries metadata only, by the best row that has a place.
_ELSEWHERE: Final = """
CREATE TABLE elsewhere AS
SELECT hash, true AS elsewhere, origin, hash_version, stored_bytes, pack, frame_offset, frame_length, frame_sha256, frame_index
FROM every_row JOIN winners ON every_row.arrival = winners.placed_arrival WHERE winners.placed_arrival <> winners.arrival
"""
# What is not shown: the rule must see it again when more rows of its nodes come in.
_LOSERS: Final = "CREATE TABLE losers AS SELECT every_row.* FROM every_row ANTI JOIN winners USING (arrival)"
# The other places of a node, where its hash proves the bytes: for when the first turns out to lie, or its pack is gone.
_OTHERS: Final = """
CREATE VIEW others AS
SELECT hash, arrival, true AS elsewhere, origin, hash_version, stored_bytes,
    pack, frame_offset, frame_length, frame_sha256, frame_index
FROM losers WHERE pack IS NOT NULL AND hash_version IS NOT NULL
"""
_STORED: Final = """
CREATE VIEW stored AS
SELECT hash, false AS elsewhere, origin, hash_version, stored_bytes, pack, frame_offset, frame_length, frame_sha256, frame_index
FROM rows WHERE pack IS NOT NULL UNION ALL FROM elsewhere
"""

# What a row adds to a sum: nothing where its model call is counted by another row.
_COUNTS: Final = """
CREATE VIEW counts AS
SELECT id,
    if(counted, coalesce(input_uncached, 0), 0) AS input_uncached,
    if(counted, coalesce(cache_read, 0), 0) AS cache_read,
    if(counted, coalesce(cache_write, 0), 0) AS cache_write,
    if(counted, coalesce(output, 0), 0) AS output,
    if(counted, coalesce(cost_usd_micro, 0), 0) AS cost_usd_micro,
    if(counted AND cost_source = 'unpriced', 1, 0) AS unpriced
FROM rows
"""

JUDGING: Final = (
    _WINNERS,
    _USAGE,
    _ROWS,
    _ELSEWHERE,
    _LOSERS,
    *(f"DROP TABLE {scaffold}" for scaffold in ("winners", "relogs", "every_row", "known")),
)
VIEWS: Final = (_OTHERS, _STORED, _COUNTS)
STEPS: Final = (*JUDGING, *VIEWS)
