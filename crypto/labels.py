"""Every domain-separation label, in one place: two uses of a key never share one.

A label is what makes a signature or digest mean one thing. Each stands before a 0x00 byte and the payload.
"""

from typing import Final

MEMBER_ID: Final = b"tapes/v0/member-id"
MEMBER_SIGN_SEED: Final = b"tapes/v0/member-sign-seed"
MEMBER_BOX_SEED: Final = b"tapes/v0/member-box-seed"
MEMBER_REKEYED: Final = b"tapes/v0/member-rekeyed"
DEVICE_ID: Final = b"tapes/v0/device-id"
DEVICE_CERTIFICATE: Final = b"tapes/v0/device-certificate"
INVITE_ID: Final = b"tapes/v0/invite-id"
INVITE_SIGN_SEED: Final = b"tapes/v0/invite-sign-seed"
INVITE_BOX_SEED: Final = b"tapes/v0/invite-box-seed"
JOIN: Final = b"tapes/v0/join"
LINK_ID: Final = b"tapes/v0/link-id"
LINK_SEAL_SEED: Final = b"tapes/v0/link-seal-seed"
LINK_REQUEST: Final = b"tapes/v0/link-request"
DEVICE_FINGERPRINT: Final = b"tapes/v0/device-fingerprint"
TEAM_ID: Final = b"tapes/v0/team-id"
COMMIT: Final = b"tapes/v0/commit"
WRAP: Final = b"tapes/v0/wrap"
EPOCH_COMMITMENT: Final = b"tapes/v0/epoch-commitment"
NODE_COMMITMENT: Final = b"tapes/v0/node-commitment"
WITHHELD_COMMITMENT: Final = b"tapes/v0/withheld-commitment"
LEAF_COMMITMENT: Final = b"tapes/v0/leaf-commitment"
TEAM_LEAF_COMMITMENT: Final = b"tapes/v0/team-leaf-commitment"
LEAF_TAG: Final = b"tapes/v0/leaf-tag"
BATCH_LEAF: Final = b"tapes/v0/batch-leaf"
BATCH_NODE: Final = b"tapes/v0/batch-node"


def labelled(label: bytes, payload: bytes) -> bytes:
    """`label ‖ 0x00 ‖ payload`: no label contains 0x00, so no two pairs read alike."""
    return label + b"\x00" + payload
