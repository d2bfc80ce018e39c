"""How much is said in the team of tests/sync/team_machine.py: text that stays on a device, and devices that keep nothing."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from crypto.errors import KeyNeeded
from store.nodes import Node
from sync.cloud import CloudProvider
from tests.faults.worlds import hurried
from tests.laptops import turn
from tests.sync.team_actors import QUIET, TEAM, Actor, cloud_client, path_to
from tests.sync.team_keys import TeamWithKeys
from tests.sync.team_machine import chances


class TeamWithContent(TeamWithKeys):
    """Any order of what TeamWithKeys does and of this."""

    def __init__(self) -> None:
        super().__init__()
        self.quiet: set[str] = (
            set()
        )  # turns of conversations whose text is withheld, until somebody's setting lets it go
        self.said: set[str] = set()  # of these, what somebody who withholds no longer had

    @rule(who=chances, turns=st.integers(1, 3))
    def write_quietly(self, who: int, turns: int) -> None:
        """A new conversation whose text its device keeps back: others see that it was, and not what was said."""
        actor = self.pick(who)
        path: list[Node] = []
        for _ in range(turns):
            self.written += 1
            path.append(turn(f"turn {self.written}", path[-1] if path else None, project=QUIET))
        self.quiet.update(node.hash for node in path)
        actor.laptop.provider.put(path)
        self.own(actor, path)

    @rule(who=chances)
    def speak(self, who: int) -> None:
        """The setting of a device changes: its next sync sends what was said."""
        self.let_go(self.pick(who))

    def let_go(self, actor: Actor) -> None:
        actor.withheld.clear()
        actor.laptop.bare.clear()

    def settle(self) -> None:
        """As before; and in the end everybody's settings let everything go, and it is there."""
        super().settle()
        for actor in list(self.actors):
            self.let_go(actor)
            self.sync_well(actor)

    @precondition(lambda self: not self.absent)
    @rule(who=chances, parent=chances, turns=st.integers(1, 3))
    def put_by_cloud(self, who: int, parent: int, turns: int) -> None:
        """A process of a device under cloud, which keeps nothing: what it put is committed and can be read."""
        actor = self.pick(who)
        self.note_said()
        known = [node for node in self.may[TEAM].values() if node.hash not in self.quiet]
        chosen = known[parent % len(known)] if known and parent % 3 else None
        path = path_to(self.may[TEAM], chosen)
        if any(node.hash in self.quiet for node in path):
            return
        for number in range(turns):
            self.written += 1
            path.append(turn(f"turn {self.written}", path[-1] if path else None, output=number % 2))
        actor.laptop.close()
        cloud = CloudProvider(hurried(cloud_client(actor)), actor.laptop.visibility, actor.laptop.content)
        cloud.pull()  # a device that was only just let in does not know it yet
        try:
            cloud.put(path)
        except KeyNeeded:
            path = []
        found = [cloud.get(node.hash) for node in path]
        cloud.close()
        self.reopen(actor)
        actor.laptop.pulled()  # what cloud took in and did not keep: the bucket may not show it later
        assert found == path
        assert path or not self.is_active(actor)
        self.own(actor, path)
        self.must[TEAM].update(node.hash for node in path)

    def own(self, actor: Actor, path: list[Node]) -> None:
        for node in path:
            actor.has(TEAM)[node.hash] = node
            self.may[TEAM][node.hash] = node

    def check_reader(self, actor: Actor, expected: set[str]) -> None:
        """As before; and the text is there of all but what everybody who had it withheld."""
        super().check_reader(actor, expected)
        self.note_said()
        placed = set(actor.laptop.placed())
        assert not placed & (self.quiet - self.said)
        assert self.absent or expected - self.quiet <= placed
        if not actor.withheld and not self.absent:
            assert actor.has(TEAM).keys() <= placed

    def note_said(self) -> None:
        for node in self.may[TEAM].values():  # parents come first; a conversation is withheld as a whole
            if node.parent_hash in self.quiet:
                self.quiet.add(node.hash)
        for actor in self.actors:
            if not actor.withheld:
                self.said.update(self.quiet & actor.has(TEAM).keys())

    def forget(self, actor: Actor) -> None:
        self.note_said()
        super().forget(actor)
