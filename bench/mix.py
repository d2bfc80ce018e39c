"""A stated mix of turns shaped like real agent sessions: streamed, seeded, measured as real transcripts were.

Most turns are tool calls and their results (reads of a session's own files, greps, edits, test runs), the rest short prompts
and prose; every twelfth result resends a reminder. Words are Zipf-distributed. Real Claude Code sessions, measured once: median
node 634 bytes, p90 2.9 KB, zstd-3 gives 2.7x a node at a time, 8.3x in frames of 256 KiB. `python -m bench.mix` prints the same
of this mix: it repeats less than they do, which favours neither side.
"""

import random
import statistics
from collections.abc import Callable, Iterator
from itertools import accumulate

import zstandard

from store.eras import make_node
from store.limits import frame_raw_bytes_min, zstd_level_push
from store.nodes import Json, Node, Source, Usage, node_to_bytes

SEED = 11
turns_per_session = 240
_files_per_session = 14
_names_per_session = 60  # identifiers of one project
_REMINDER = (
    "<system-reminder>\nYour todo list has changed. DO NOT mention this explicitly to the user. Here are the latest "
    "contents:\n\n{todo}\nContinue with the tasks at hand if applicable. As you answer the user's questions, use the context "
    "given above.\n</system-reminder>"
)
_LINES = (
    "def {a}({b}: {c}, {d}: int = {n}) -> {c} | None:",
    '    """{A} the {b} of {c}."""',
    "    if {b} is None or {d} < {n}:",
    '        raise {c}Error(f"{a}: {{{b}}} {d}")',
    "    for {d} in self._{b}.{a}():",
    "        {c}.append({a}({d}, {b}={n}))",
    "    return {a}_{b}[{n}]",
    "    {b} = {{{d}: {c} for {d} in {a}}}",
    "",
)


class Mix:
    """Sessions; the same seed gives the same nodes. Needs the memory of one session."""

    def __init__(self, seed: int = SEED, vocabulary: int = 12_000) -> None:
        self._random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        self._words = [
            "".join(self._random.choices(letters, k=self._random.randint(2, 9))) for _ in range(vocabulary)
        ]
        self._weights = list(accumulate(1 / rank for rank in range(1, vocabulary + 1)))

    def sessions(self, nodes: int) -> Iterator[list[Node]]:
        """Sessions until there are `nodes` turns."""
        for number, made in enumerate(range(0, nodes, turns_per_session)):
            yield self._session(number, min(turns_per_session, nodes - made))

    def _session(self, number: int, turns: int) -> list[Node]:
        names = self._some(_names_per_session)
        files = [self._file(names) for _ in range(_files_per_session)]
        path: list[Node] = []
        calls = 0
        while len(path) < turns:
            turn, at = len(path), self._random.random()
            if turn == 0 or at < 0.1:
                self._add(path, number, "user", [{"type": "text", "text": self._prose(4, 60)}])
            elif at < 0.35:
                self._add(path, number, "assistant", [{"type": "text", "text": self._prose(10, 110)}])
            else:
                calls += 1
                self._call(path, number, files, f"toolu_{number:06d}{calls:04d}")
        return path[:turns]

    def _call(self, path: list[Node], number: int, files: list[list[str]], call: str) -> None:
        place = min(int(self._random.expovariate(0.4)), len(files) - 1)  # some files are read again and again
        tools: list[Callable[[int, list[str]], tuple[str, dict[str, Json], str]]] = [
            self._read,
            self._grep,
            self._edit,
            self._test,
        ]
        name, told, answer = self._random.choice(tools)(place, files[place])
        block = {"type": "tool_use", "tool_use_id": call, "tool_name": name, "tool_input": told}
        self._add(path, number, "assistant", [block])
        if self._random.random() < 1 / 12:
            answer += "\n" + _REMINDER.format(
                todo="\n".join(
                    f"- [{'x' if i < len(path) % 9 else ' '}] {files[0][i][:60]}" for i in range(8)
                )
            )
        result = {
            "type": "tool_result",
            "tool_result_id": call,
            "tool_output": answer,
            "is_error": self._random.random() < 0.04,
        }
        self._add(path, number, "user", [result])

    def _read(self, place: int, file: list[str]) -> tuple[str, dict[str, Json], str]:
        start = self._random.randrange(len(file))
        lines = file[start : start + int(self._random.lognormvariate(3.9, 1.3))]
        told = {
            "file_path": f"/home/dev/work/project/src/module_{place}.py",
            "offset": start,
            "limit": len(lines),
        }
        return "Read", told, "\n".join(f"{start + n:6}\t{line}" for n, line in enumerate(lines))

    def _grep(self, place: int, file: list[str]) -> tuple[str, dict[str, Json], str]:
        found = self._random.sample(range(len(file)), min(len(file), self._random.randint(1, 24)))
        answer = "\n".join(
            f"/home/dev/work/project/src/module_{place}.py:{n}:{file[n]}" for n in sorted(found)
        )
        return (
            "Grep",
            {
                "pattern": file[found[0]].strip()[:24],
                "path": "/home/dev/work/project",
                "output_mode": "content",
            },
            answer,
        )

    def _edit(self, place: int, file: list[str]) -> tuple[str, dict[str, Json], str]:
        start = self._random.randrange(len(file))
        old = file[start : start + self._random.randint(1, 8)]
        new = [line.replace("return", "yield").replace("is None", "is not None") for line in old]
        file[start : start + len(old)] = new
        path = f"/home/dev/work/project/src/module_{place}.py"
        told = {"file_path": path, "old_string": "\n".join(old), "new_string": "\n".join(new)}
        return "Edit", told, f"The file {path} has been updated."

    def _test(self, place: int, _file: list[str]) -> tuple[str, dict[str, Json], str]:
        passed = self._random.randint(3, 60)
        lines = [
            f"tests/test_module_{place}.py::test_case_{n} PASSED [{100 * n // passed:3}%]"
            for n in range(passed)
        ]
        seconds = self._random.random() * 9
        command = f"cd /home/dev/work/project && python -m pytest tests/test_module_{place}.py -v"
        return (
            "Bash",
            {"command": command, "description": "Run the tests", "timeout": 120000},
            "\n".join([*lines, f"{passed} passed in {seconds:.2f}s"]),
        )

    def _add(self, path: list[Node], number: int, role: str, content: list[dict[str, Json]]) -> None:
        turn, assistant = len(path), role == "assistant"
        bucket = {"type": "message", "role": role, "content": content, "model": "claude-sonnet-4-5" if assistant else "",
                  "provider": "anthropic", "agent_name": "claude"}  # fmt: skip
        minute, second = divmod(turn * 7, 60)
        path.append(
            make_node(
                bucket,
                path[-1].hash if path else None,
                usage=Usage(9, 9_000 + 310 * turn, 90 + turn, 40 + turn) if assistant else None,
                stop_reason="tool_use" if assistant else None,
                project=f"project-{number % 20}",
                created_at=f"2026-02-{1 + number % 27:02d}T{number % 24:02d}:{minute % 60:02d}:{second:02d}.000000Z",
                source=Source(
                    "claude",
                    session=f"{number:08x}-bench",
                    usage_id=f"msg_{number:06d}{turn:04d}" if assistant else None,
                ),
            )
        )

    def _file(self, names: list[str]) -> list[str]:
        return [self._line(names) for _ in range(self._random.randint(60, 400))]

    def _line(self, names: list[str]) -> str:
        a, b, c, d = self._random.choices(names, k=4)
        return self._random.choice(_LINES).format(
            a=a, A=a.title(), b=b, c=c.title(), d=d, n=self._random.randint(0, 999)
        )

    def _prose(self, least: int, most: int) -> str:
        return " ".join(self._some(self._random.randint(least, most))).capitalize() + "."

    def _some(self, count: int) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._weights, k=count)


def main() -> None:
    """Print what the mix measures, beside the real figures above."""
    press = zstandard.ZstdCompressor(level=zstd_level_push)
    sizes, alone, framed, frame = [], 0, 0, b""
    for session in Mix().sessions(6_000):
        for node in session:
            data = node_to_bytes(node)
            sizes.append(len(data))
            alone += len(press.compress(data))
            frame += data
            if len(frame) >= frame_raw_bytes_min:
                framed, frame = framed + len(press.compress(frame)), b""
        framed, frame = framed + (len(press.compress(frame)) if frame else 0), b""
    total, sizes = sum(sizes), sorted(sizes)
    print(
        f"median {sizes[len(sizes) // 2]} B, p90 {sizes[len(sizes) * 9 // 10]} B, mean {statistics.mean(sizes):.0f} B"
    )
    print(
        f"zstd-{zstd_level_push}: {total / alone:.1f}x a node at a time, {total / framed:.1f}x in frames of one session"
    )


if __name__ == "__main__":
    main()
