"""A real SLURM on this machine, for as long as a test needs it: munged, slurmctld and one slurmd with a made-up GPU."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol", "sacct", "sacctmgr")
# No cgroups, no accounting and no systemd, so that it starts in a container; the GPU is a device that any Linux has.
CONFIG = """\
ClusterName=t2i
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=test Nodes={host} Default=YES MaxTime=1-0 State=UP PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes={host} MaxTime=1-0 State=UP PriorityTier=2
"""


class NoSlurmError(Exception):
    """It is not installed, or did not start; the message says which and why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def slurm(cpus: int = 4) -> Iterator[Path]:
    """Run SLURM; yields a folder with its commands, to be put first on PATH. Raises NoSlurmError."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    found = {name: shutil.which(name, path=path) for name in (*DAEMONS, *CLIENTS)}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        raise NoSlurmError(f"not installed: {', '.join(missing)} (Debian packages slurm-wlm and munge)")
    # A socket's path must be short, and pytest's folders are not.
    folder = Path(mkdtemp(prefix="slurm-"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        commands = set_up(folder, found, cpus)
        for number, arguments in enumerate(
            (
                [
                    "munged",
                    "--foreground",
                    "--force",
                    f"--key-file={folder}/munge.key",
                    f"--socket={folder}/munge.socket",
                ]
                + [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")],
                ["slurmctld", "-D", "-i", "-f", f"{folder}/slurm.conf"],
                ["slurmd", "-D", "-f", f"{folder}/slurm.conf"],
            )
        ):
            log = (folder / f"{arguments[0]}.log").open("wb")
            daemons.append(
                subprocess.Popen(
                    [str(found[arguments[0]]), *arguments[1:]], stdout=log, stderr=log, start_new_session=True
                )
            )
            ready = (
                lambda: (folder / "munge.socket").exists(),
                lambda: b"UP" in reply(commands, "scontrol", "ping"),
                lambda: b"idle" in reply(commands, "sinfo", "--noheader", "--format=%T"),
            )[number]
            wait(ready, daemons[-1], folder / f"{arguments[0]}.log")
        yield commands
    finally:
        reply(folder / "bin", "scancel", "--user", user_name())
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


def set_up(folder: Path, found: dict[str, str | None], cpus: int) -> Path:
    """Key, configuration, and commands that know it: Snakemake's plugin drops SLURM_CONF from the environment."""
    folder.chmod(0o755)
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    values = {"host": host, "user": user_name(), "folder": folder, "cpus": cpus}
    config = CONFIG.format(**values, controller_port=free_port(), node_port=free_port())
    (folder / "slurm.conf").write_text(config)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/zero\n")
    for name in CLIENTS:
        command = folder / "bin" / name
        command.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {found[name]} "$@"\n')
        command.chmod(0o755)
    return folder / "bin"


def user_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def reply(commands: Path, name: str, *arguments: str) -> bytes:
    """What a SLURM command prints; nothing when it fails."""
    try:
        done = subprocess.run([commands / name, *arguments], capture_output=True, timeout=15)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout


def wait(ready: object, daemon: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Wait until `ready()`. Raises NoSlurmError with the end of the log when the daemon ends or the time is over."""
    assert callable(ready)
    end = time.monotonic() + seconds
    while not ready():
        if daemon.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace")[-500:].strip()
            raise NoSlurmError(f"{log.stem} did not start: {said}")
        time.sleep(0.2)
