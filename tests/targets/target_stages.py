"""The three targets as one: each with a way to say what a program does, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from launch_jobs.config_files.rendering import ChangedFile
from launch_jobs.run import Place
from launch_jobs.targets import AttemptStatus, RunSpec, Target
from launch_jobs.testing import MemoryProcess

WITNESS = """
import os, signal, subprocess, sys, time
verb, number, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
out = os.environ["LAUNCH_OUTPUT_DIR"]
print("start", flush=True)
if verb == "exit":
    sys.exit(number)
elif verb == "die":
    os.kill(os.getpid(), number)
elif verb == "lines":
    sys.stdout.write("".join(f"line {i}\\n" for i in range(number)) + "no newline")
elif verb == "drip":
    for i in range(number):
        os.write(1 + i % 2, f"drop {i}\\n".encode()); time.sleep(0.01)
elif verb == "binary":
    sys.stdout.buffer.write(bytes(range(256)))
elif verb == "outputs":
    open(os.path.join(out, "model.bin"), "wb").write(bytes(range(256)))
    os.mkdir(os.path.join(out, "deep")); open(os.path.join(out, "deep", "big"), "wb").write(bytes(number))
    os.symlink("/etc/passwd", os.path.join(out, "link")); os.mkfifo(os.path.join(out, "fifo"))
    os.makedirs("made/by"); open("made/by/me.txt", "w").write("made"); open("alone.txt", "w").write("alone")
elif verb == "datasets":
    for top in (value for name, value in sorted(os.environ.items()) if name.startswith("LAUNCH_DATASET_")):
        files = [top] if os.path.isfile(top) else [os.path.join(a, f) for a, _, b in os.walk(top) for f in b]
        for file in sorted(files):
            mode = (os.stat(file).st_mode | os.stat(os.path.dirname(file)).st_mode) & 0o222
            print(file, open(file).read(), "writable" if mode else "read-only", flush=True)
elif verb == "placed":
    path = os.environ["WITNESS_FILE"]
    print(oct(os.stat(path).st_mode), os.stat(path).st_mtime < time.time() - 3600, open(path).read(), flush=True)
elif verb == "wait":
    print("ready", flush=True); time.sleep(600)
elif verb == "polite":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(number))
    print("ready", flush=True); time.sleep(600)
elif verb == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(2):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", name], start_new_session=True)
    print("ready", flush=True); time.sleep(600)
"""


async def witness(process: MemoryProcess) -> int:
    """What WITNESS does, for the memory target."""
    verb, number = process.spec.command[-3], int(process.spec.command[-2])
    process.write(b"start\n")
    if verb in {"wait", "polite", "stubborn"}:
        return await _wait(process, verb, number)
    if verb == "datasets":
        for path, data in sorted(process.datasets.items()):
            process.write(f"{path} {data.decode()} read-only\n".encode())
    elif verb == "placed":
        process.write(b"0o100644 True %s\n" % b"".join(process.placed.values()))
    elif verb == "outputs":
        process.files |= {"model.bin": bytes(range(256)), "deep/big": bytes(number)}
        process.files |= {"made/by/me.txt": b"made", "alone.txt": b"alone"}
    elif verb not in {"exit", "die"}:
        await _print(process, verb, number)
    return {"exit": number, "die": 128 + number}.get(verb, 0)


async def _wait(process: MemoryProcess, verb: str, number: int) -> int:
    process.write(b"ready\n")
    if verb == "polite":
        await process.stopping.wait()
        return number
    await asyncio.sleep(600)
    return 0


async def _print(process: MemoryProcess, verb: str, number: int) -> None:
    if verb == "lines":
        process.write(b"".join(b"line %d\n" % i for i in range(number)) + b"no newline")
    elif verb == "binary":
        process.write(bytes(range(256)))
    for i in range(number if verb == "drip" else 0):
        process.write(b"drop %d\n" % i)
        await asyncio.sleep(0)


@dataclass
class Stage:
    """A target, a second agent's target on the same infrastructure, and the attempts made on them."""

    kind: str
    target: Target
    second: Target
    image: str
    folder: Path
    specs: list[RunSpec] = field(default_factory=list[RunSpec])

    def spec(self, verb: str, number: int = 0, **changes: object) -> RunSpec:
        """An attempt that runs the witness program."""
        run = uuid.uuid4().hex
        name = f"lj-{run}-a1"
        python = sys.executable if self.kind == "process" else "python3"
        output_dir = "/launch/outputs" if self.kind == "docker" else str(self.folder / "runs" / name / "outputs")
        root = "/work" if self.kind == "docker" else str(self.folder / "sources" / name)
        if self.kind == "process":
            Path(root).mkdir(parents=True)
        spec = RunSpec(
            name=name,
            image=self.image,
            command=(python, "-c", WITNESS, verb, str(number), name),
            directory=root,
            source=root if self.kind == "process" else None,
            env={"LAUNCH_OUTPUT_DIR": output_dir, "LAUNCH_RUN_ID": run},
            labels={"org.launch-jobs.run": run, "org.launch-jobs.attempt": "1"},
            output_dir=output_dir,
            root=root,
            network="none",
        ).model_copy(update=changes)
        self.specs.append(spec)
        return spec

    def spec_with_datasets(self, **datasets: dict[str, str]) -> RunSpec:
        """An attempt that prints its datasets, each a folder of files that are staged now."""
        spec = self.spec("datasets")
        where = "/launch/datasets" if self.kind == "docker" else str(Path(spec.output_dir).parent / "datasets")
        for name, files in datasets.items():
            folder = self.folder / "staging" / spec.name / name
            for path, text in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            spec.datasets[f"{where}/{name}"] = str(folder)
            spec.env[f"LAUNCH_DATASET_{name.upper()}"] = f"{where}/{name}"
        return spec

    async def spec_with_file(self, before: str | None = None) -> RunSpec:
        """An attempt that prints a config file of its own: mode, whether it is old, and text.

        A container's is put over a file of the base image.
        """
        spec, path = self.spec("placed"), "os-release"
        root = "/usr/lib" if self.kind == "docker" else spec.root or ""
        text = "old: 1\n"
        if self.kind == "docker":
            text = (await self.run("exit", command=("cat", f"{root}/{path}")))[-1].decode()
        elif self.kind == "process":
            (Path(root) / path).write_text(text)
            os.utime(Path(root) / path, (0, 0))
        file = ChangedFile(path=path, before=text if before is None else before, after="new: 2")
        env = {**spec.env, "WITNESS_FILE": f"{root}/{path}"}
        made = spec.model_copy(update={"root": root, "directory": "/", "env": env, "files": (file,)})
        self.specs[self.specs.index(spec)] = made
        return made

    def unstage(self, spec: RunSpec) -> None:
        """Remove the staged files, as an agent does once the target has them."""
        shutil.rmtree(self.folder / "staging" / spec.name)

    async def start(self, verb: str, number: int = 0, **changes: object) -> tuple[RunSpec, Place]:
        """Start an attempt."""
        spec = self.spec(verb, number, **changes)
        await self.target.ensure(spec)
        return spec, await self.target.place(spec.name)

    async def output(self, place: Place, since: str | None = None) -> bytes:
        """All its output from an offset to its end."""
        return b"".join([chunk.data async for chunk in self.target.logs(place, since)])

    async def output_until(self, place: Place, text: bytes) -> bytes:
        """Its output until a text appears."""
        data = b""
        async for chunk in self.target.logs(place, None):
            data += chunk.data
            if text in data:
                break
        return data

    async def run(self, verb: str, number: int = 0, **changes: object) -> tuple[RunSpec, Place, bytes]:
        """Run an attempt to its end."""
        spec, place = await self.start(verb, number, **changes)
        return spec, place, await self.output(place)

    async def end(self, place: Place) -> AttemptStatus:
        """The status of an attempt that ended."""
        status = await self.target.status(place)
        assert status is not None
        assert status.state == "exited"
        return status

    async def clean(self) -> None:
        """Remove all attempts."""
        for spec in self.specs:
            await self.target.remove(await self.target.place(spec.name))
        shutil.rmtree(self.folder, ignore_errors=True)


def living(name: str) -> list[int]:
    """Processes of this machine (its containers included) that carry an attempt's name in their arguments."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.encode() in arguments and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found
