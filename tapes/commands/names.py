"""What members call themselves."""

from sync.client import Client
from sync.membership import members


def names_of(client: Client | None) -> dict[str, str]:
    """Names by hex id; a home in no team yet knows only its own, one without an identity none."""
    if client is None:
        return {}
    if client.log.point.roster is None:
        return {client.identity.member_id.hex(): client.identity.name}
    return {member.id.hex(): member.name for member in members(client) if member.name is not None}
