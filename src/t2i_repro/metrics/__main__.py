"""Metrics from the command line, applied to arrays in files.

    python -m t2i_repro.metrics                                        list them
    python -m t2i_repro.metrics inception_score --help                 arguments and result of one
    python -m t2i_repro.metrics frechet_distance fake.npy real.npy     apply it; prints JSON
    python -m t2i_repro.metrics inception_score p.npz:probabilities --splits 10

Arrays are .npy files, arrays of .npz files (file.npz:name), or numbers. From images instead of arrays:
`python -m t2i_repro score --help`.
"""

import ast
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t2i_repro import metrics
from t2i_repro.errors import ReproError

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(metrics, name) for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))
}


def listing() -> str:
    """Every function with its arguments and the first line of its docstring."""
    lines = [inspect.cleandoc(__doc__ or ""), ""]
    for name, function in FUNCTIONS.items():
        required = [one.name for one in parameters(function) if one.default is one.empty]
        more = ", .." if len(required) < len(parameters(function)) else ""
        lines.append(f"{name}({', '.join(required)}{more})")
        summary = (inspect.getdoc(function) or "").partition("\n\n")[0]
        lines.append(f"    {' '.join(summary.split())}")
    return "\n".join(lines)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def description(name: str) -> str:
    """Signature and docstring of one function."""
    function = FUNCTIONS[name]
    arguments = ", ".join(str(entry).split(":")[0] + default(entry) for entry in parameters(function))
    return f"{name}({arguments})\n\n{inspect.getdoc(function)}"


def default(entry: inspect.Parameter) -> str:
    if entry.default is entry.empty:
        return ""
    return f"={getattr(entry.default, '__name__', None) or repr(entry.default)}"


def value_of(text: str) -> Any:
    """A file's array, a Python literal, or the text itself."""
    path, _, key = text.partition(":")
    if Path(path).suffix in (".npy", ".npz"):
        try:
            found = np.load(path, mmap_mode="r" if path.endswith(".npy") else None)
            return found if path.endswith(".npy") else found[key or found.files[0]]
        except (OSError, ValueError, KeyError) as error:
            raise ReproError(f"{text}: no array can be read there ({error})") from error
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def plain(value: Any) -> Any:
    """``value`` as JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(entry) for key, entry in asdict(value).items()}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def apply(name: str, arguments: list[str]) -> Any:
    """Call a function with positional arguments and ``--option value`` pairs. Raises ReproError when they do not
    fit."""
    positional: list[Any] = []
    options: dict[str, Any] = {}
    rest = iter(arguments)
    for word in rest:
        if not word.startswith("--"):
            positional.append(value_of(word))
            continue
        option = word.removeprefix("--").replace("-", "_")
        try:
            options[option] = value_of(next(rest))
        except StopIteration:
            raise ReproError(f"{word}: expected a value after it") from None
    try:
        inspect.signature(FUNCTIONS[name]).bind(*positional, **options)
    except TypeError as error:
        raise ReproError(f"{name}: {error}\n\n{description(name)}") from error
    return FUNCTIONS[name](*positional, **options)


def main(arguments: list[str]) -> int:
    """Exit status 2, with a message, on arguments or arrays that a metric does not take."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *rest = arguments
    try:
        if name not in FUNCTIONS:
            raise ReproError(f"found metric {name!r}; expected one of {', '.join(FUNCTIONS)}")
        if {"-h", "--help"} & set(rest):
            print(description(name))
        else:
            print(json.dumps(plain(apply(name, rest)), indent=1))
    except ReproError as error:
        print(f"t2i_repro.metrics: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
