"""What the names of the format promise to the servers that must list them."""

from hypothesis import given
from hypothesis import strategies as st

from store.names import SegmentName, link_name, object_name, probe_name, seq_max, slot_name

numbers = st.integers(min_value=0, max_value=seq_max)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.one_of(
    numbers.map(slot_name),
    st.binary(min_size=16, max_size=16).map(link_name),
    st.binary(min_size=8, max_size=8).map(bytes.hex).map(probe_name),
    st.builds(object_name, st.sampled_from(["pack", "manifest", "stats", "share"]), numbers, digests),
    st.builds(SegmentName, numbers, numbers, digests).map(str),
)


@given(st.lists(names, unique=True))
def test_a_server_that_walks_folders_lists_our_names_in_s3s_order(found: list[str]) -> None:
    """SeaweedFS lists `a/b` before `a-`, S3 the other way round: no two names of ours show the difference."""
    assert sorted(found) == sorted(found, key=lambda name: name.split("/"))
