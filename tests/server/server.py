"""A server that the tests run commands on and put files to, whatever it is made of."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.server.cache import MachineFailure, command

#: An answer of ssh's own, not of the command's.
_NO_CONNECTION = 255


class CommandFailure(MachineFailure):
    """A command inside ended with another exit code than 0; the message ends with what it printed."""

    def __init__(self, words: str, code: int, output: str):
        super().__init__(f"exit code {code}: {words[:300]}\n{output[-6000:]}")
        self.code, self.output = code, output


class Server:
    """What a virtual machine and a container have in common."""

    #: What it has printed on its console, since its first boot.
    serial = ""

    def start(self, script: str, **options: object) -> subprocess.Popen[bytes]:
        """The command, as root and in bash, under way; the process ends with its exit code."""
        raise NotImplementedError

    def run(self, script: str, *, stdin: bytes = b"", timeout: float = 900, check: bool = True) -> str:
        """What the command printed, errors included, stripped. It runs as root, in bash.

        Raises CommandFailure if its exit code is not 0 and check is set, MachineFailure if it does not end in time.
        """
        process = self.start(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output = process.communicate(stdin, timeout)[0].decode(errors="replace").strip()
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                said = process.communicate(timeout=10)[0].decode(errors="replace")
            except subprocess.TimeoutExpired as still:
                # What the command has started lives on in there, and holds its output.
                said = (still.output or b"").decode(errors="replace")
            raise MachineFailure(f"not done within {timeout:g} s: {script[:300]}\n{said[-4000:]}") from None
        if check and process.returncode:
            what = output if process.returncode != _NO_CONNECTION else f"{output}\n{self.serial[-2000:]}"
            raise CommandFailure(script, process.returncode, what)
        return output

    def succeeds(self, script: str, **options: object) -> bool:
        """Whether it ends with exit code 0."""
        try:
            self.run(script, **options)
        except CommandFailure:
            return False
        return True

    def wait_for(self, script: str, seconds: float = 300, pause: float = 1) -> str:
        """Run it again and again until it succeeds; what it printed then."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.run(script)
            except CommandFailure as failure:
                if time.monotonic() > end:
                    raise MachineFailure(f"not within {seconds:g} s: {failure}") from failure
            time.sleep(pause)

    def wait_for_system(self, seconds: float = 600) -> None:
        """Until everything that starts at boot has started, or failed."""
        self.wait_for("systemctl is-system-running --wait | grep -qE 'running|degraded'", seconds)

    # Files

    def put(self, target: str, source: Path | bytes | Mapping[str, bytes | Path], mode: int = 0o644) -> None:
        """A file, or a folder of files (name -> content). Files of this machine keep their mode."""
        files = source if isinstance(source, Mapping) else {"": source}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(f"{target}/{name}".strip("/"))
                data = content.read_bytes() if isinstance(content, Path) else content
                entry.size, entry.mtime = len(data), int(time.time())
                entry.mode = content.stat().st_mode & 0o777 if isinstance(content, Path) else mode
                archive.addfile(entry, io.BytesIO(data))
        self.run("tar -C / -x --no-same-owner", stdin=packed.getvalue())

    def get(self, path: str) -> bytes:
        process = self.start(f"cat {shlex.quote(path)}", stdout=subprocess.PIPE)
        content = process.communicate()[0]
        assert process.returncode == 0, path
        return content

    def read(self, path: str) -> str:
        return self.run(f"cat {shlex.quote(path)}")


def checkout(root: Path, more: Sequence[str] = ()) -> dict[str, Path]:
    """The repository's files as they are here, by name: those that git knows or would add, and `more`."""
    listed = command("git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = [name for name in (*listed.split("\0"), *more) if name]
    return {name: root / name for name in names if (root / name).is_file()}
