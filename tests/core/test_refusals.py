"""A full disk and a folder without permission are told in a sentence, whatever the verb."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from t2i_repro import cli
from t2i_repro.core.artefact import KINDS, Node
from t2i_repro.core.record import write_json
from t2i_repro.errors import StorageFull

FULL = [OSError(errno.ENOSPC, "No space left on device"), OSError("3000 requested and 100 written")]
REFUSED = [PermissionError(errno.EACCES, "Permission denied", "x"), OSError(errno.EROFS, "Read-only", "x")]


def fails_with(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: Any) -> None:
        raise error

    module = SimpleNamespace(run=run, main=run, add_arguments=lambda parser: None)
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)


@pytest.mark.parametrize("error", [*FULL, *REFUSED], ids=["full", "numpy", "permission", "read-only"])
@pytest.mark.parametrize("kind", sorted({one.verb: kind for kind, one in KINDS.items()}.values()))
def test_every_verb_of_the_flow(
    kind: str, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    node = Node(kind, "name", "smoke", {})
    write_json(tmp_path / "spec.json", node.to_json())
    fails_with(error, monkeypatch)
    assert cli.main([node.verb, "--spec", "spec.json"]) == (StorageFull.exit_code if error in FULL else 2)
    said = capsys.readouterr().err
    assert ("cannot be written" if error in FULL else "Make it accessible") in said
    assert not Path(node.record).exists()


@pytest.mark.parametrize("error", [*FULL, *REFUSED], ids=["full", "numpy", "permission", "read-only"])
@pytest.mark.parametrize("tool", cli.TOOLS)
def test_every_tool(
    tool: str, error: OSError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(error, monkeypatch)
    assert cli.main([tool]) == (StorageFull.exit_code if error in FULL else 2)
    assert capsys.readouterr().err.startswith(f"t2i-repro {tool}: ")


def test_other_errors_of_the_system_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(OSError(errno.EIO, os.strerror(errno.EIO)), monkeypatch)
    with pytest.raises(OSError, match="Input/output"):
        cli.main(["plan"])
