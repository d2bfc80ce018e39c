"""Every size, count and wait that a format or a protocol fixes, named with its unit."""

KIB = 1024
MIB = 1024 * KIB

# Nodes and frames (DESIGN §2). A frame is the unit of encryption and of range reads.
node_bytes_max = 48 * MIB  # a larger node stays local, exit 3
frame_raw_bytes_min = 256 * KIB  # a frame is closed once it holds this much
frame_raw_bytes_max = 1 * MIB  # never exceeded, except by one node alone
frame_stored_bytes_max = node_bytes_max + 2 * MIB  # incompressible node, its length prefix, seal overhead
zstd_level_push = 3
quick_json_bytes_max = (
    1 * MIB
)  # orjson takes twelve times a text to parse it: above, the standard library reads

# Packs (DESIGN §2)
pack_bytes_target = 16 * MIB
pack_bytes_max = 64 * MIB

# Sealed objects: block size per kind (DESIGN §5)
block_bytes_small = 64 * KIB
block_bytes_large = 1 * MIB

# The commit log (DESIGN §4)
commit_bytes_max = 1 * MIB
manifest_rows_max = 50_000  # rows in one manifest; a larger push becomes several commits
label_bytes_max = (
    512  # of one text column of a row in UTF-8; a log may say anything, and no row is to be a bomb
)
commit_leaves_max = 4_000  # leaves (conversations) in one commit: keeps it under commit_bytes_max
commit_objects_max = 4_096  # objects that one commit names
commit_attempts_max = 200  # lost races before a push gives up and says so

# The probe (sync.md §2.4)
probe_writers = 16
probe_rounds = 3
