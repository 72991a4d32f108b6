"""A test double of `conda`: answers the calls that Snakemake makes and no others (it is not conda, and solves nothing).

An environment is a venv that sees the packages of this interpreter, once it has checked that they are at the versions
that the file pins.
"""

import json
import site
import sys
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

import yaml

HOME = Path(sys.argv[1])


def main(arguments: list[str]) -> None:
    with (HOME / "calls").open("a") as calls:
        print(*arguments, file=calls)
    match arguments:
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(HOME), "platform": "linux-64"}))
        case ["--version"]:
            print("conda 25.1.0")
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *_, "--file", file, "--prefix", prefix]:
            create(Path(file), Path(prefix))
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"conda double: not a call that Snakemake 9.27 makes: {arguments}")


def create(file: Path, prefix: Path) -> None:
    dependencies = yaml.safe_load(file.read_text())["dependencies"]
    pins = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    for name, pinned in (pin.split("==") for pin in pins):
        if version(name).partition("+")[0] != pinned:
            sys.exit(f"conda double: {file.name} pins {name}=={pinned}, and {version(name)} is installed here")
    venv.create(prefix, symlinks=True)
    inside = sysconfig.get_path("purelib", vars={"base": str(prefix)})
    Path(inside, "these.pth").write_text("\n".join(site.getsitepackages()))


main(sys.argv[2:])
