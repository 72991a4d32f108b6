"""The command line: one verb per arrow of the flow, and a few for people.

Verbs of the flow build an artefact from its spec file: `python -m t2i_repro train --spec FILE`. The others have
arguments of their own (`python -m t2i_repro VERB --help`).
"""

import argparse
import importlib
import io
import logging
import os
import sys
from pathlib import Path

from t2i_repro.core.artefact import KINDS, read_node
from t2i_repro.core.failure import check_attempt, note_failure
from t2i_repro.core.record import AlreadyBuilt, building, storage
from t2i_repro.errors import ReproError

# Verbs of the flow; the module of each is in KINDS (core/artefact.py).
FLOW = {
    "standin": "draw procedural raw data in an official layout",
    "prepare": "read raw data once, into arrays for random access",
    "fetch-asset": "download weights with a checksum",
    "pretrain": "train a text encoder, an image encoder or a classifier",
    "train": "train a GAN; resumes exactly where it was stopped",
    "sample": "generate the images a run is scored by",
    "import": "import images or a run that others made",
    "embed": "compute a network's features of images",
    "judge": "train the ranking network of visual-semantic similarity",
    "score": "apply a metric protocol to features",
    "render": "render a table or a figure",
    "report": "build the HTML report",
    "store": "lay out what DVC versions",
}

# Verbs of the flow that people can use without a spec file: module with `add_arguments(parser)` and `main(args)`.
ALONE = {"score": "t2i_repro.metrics.standalone"}

# Verb for people: (module with `add_arguments(parser)` and `main(args)`, what it does).
TOOLS = {
    "plan": ("t2i_repro.planning.command", "print what a target would cost, and what of it is built"),
    "status": ("t2i_repro.planning.status", "print what runs, failed, is built, or is no longer asked for"),
    "clean": ("t2i_repro.planning.clean", "list, or remove, what can be built again"),
    "show": (
        "t2i_repro.planning.show",
        "print a system or a protocol with all values resolved, and where each was set",
    ),
    "reported": ("t2i_repro.registry.printed", "print every number of the papers, as printed"),
    "audit": ("t2i_repro.audit.command", "check the papers' claims and compare their numbers"),
    "papers": ("t2i_repro.rendering.terminal_papers", "list the papers, and what of them can be rebuilt"),
    "tables": (
        "t2i_repro.rendering.terminal",
        "print tables with rebuilt numbers, or write them as CSV or Parquet",
    ),
    "page": ("t2i_repro.rendering.partial", "build the site from what is there so far; every gap says so"),
    "fetch": ("t2i_repro.data.fetch", "download datasets or weights, with checksum and resume"),
    "generate": ("t2i_repro.sampling.generate", "generate images for captions of your own with a trained run"),
    "export": ("t2i_repro.sampling.export", "write samples as a folder of PNG files"),
    "restore": ("t2i_repro.core.store", "put artefacts that `dvc pull` brought back where Snakemake looks for them"),
    "verify": ("t2i_repro.rendering.verify", "prove that a target, and all below it, is what the records say"),
    "params": ("t2i_repro.planning.counts", "count parameters of every system at full width"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns the exit status: 0, or the `exit_code` of the ReproError that stopped it."""
    arguments = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(
        prog="t2i-repro", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in {**FLOW, **{tool: summary for tool, (_, summary) in TOOLS.items()}}.items():
        verb = verbs.add_parser(name, help=summary, description=summary)
        if name in FLOW:
            verb.add_argument(
                "--spec", type=Path, required=name not in ALONE, help="spec file of the artefact, from results/*/specs/"
            )
            verb.add_argument("--out", type=Path, help="folder to build it in; default: its place in results/")
            verb.add_argument("--attempt", type=int, default=1, help="given by Snakemake: 2 or more for a retry")
            if name in ALONE and name in arguments[:1] and arguments[1:2] != ["--spec"]:  # those need no such imports
                alone = importlib.import_module(ALONE[name])
                verb.description, verb.formatter_class = alone.__doc__, argparse.RawDescriptionHelpFormatter
                alone.add_arguments(verb)
        elif name in arguments[:1]:
            importlib.import_module(TOOLS[name][0]).add_arguments(verb)
    args = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of ASCII gets escapes in place of what it cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if args.verb in ALONE and args.spec is None:
            importlib.import_module(ALONE[args.verb]).main(args)
        elif args.verb in FLOW:
            build(args.verb, args.spec, args.out, args.attempt)
        else:
            try:
                with storage(Path("output")):
                    importlib.import_module(TOOLS[args.verb][0]).main(args)
                    sys.stdout.flush()
            except BrokenPipeError:  # a reader such as head has enough; Python would flush once more at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ReproError as error:
        print(f"t2i-repro {args.verb}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def build(verb: str, spec: Path, out: Path | None, attempt: int = 1) -> None:
    """Build the artefact of a spec file, unless it is there already. A retry of what cannot succeed ends at once."""
    node = read_node(spec)
    if node.verb != verb:
        raise ReproError(f"{spec}: describes a {node.kind}; build it with `python -m t2i_repro {node.verb}`")
    out = out or Path(node.folder)
    try:
        check_attempt(out, attempt)
        with storage(out), building(node, out) as work:
            importlib.import_module(KINDS[node.kind].module).run(node, out, work)
    except AlreadyBuilt:
        logging.getLogger(__name__).info("%s is already built", out)
    except Exception as error:
        note_failure(out, error)
        raise
