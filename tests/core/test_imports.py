"""Imports inside functions: only what is slow to load and not always needed, each with its reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

# Libraries that take longer to import than most jobs take to run.
HEAVY = {"torch", "torchvision", "torch_fidelity", "open_clip", "scipy", "pandas"}

Import = tuple[int, str]  # line, module


def lazy_imports(tree: ast.Module) -> Iterator[Import]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
                elif isinstance(node, ast.Import):
                    yield from ((node.lineno, alias.name) for alias in node.names)


def reaches(module: str, source: Path, seen: set[str]) -> set[str]:
    """Top-level libraries that importing one of our modules imports, by way of others of ours."""
    if module in seen or not module.startswith("t2i_repro"):
        return {module.split(".")[0]}
    seen.add(module)
    path = source / module.replace(".", "/")
    if not path.with_suffix(".py").exists() and not path.is_dir():  # a name in a module
        return reaches(module.rpartition(".")[0], source, seen)
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found |= reaches(f"{node.module}.{alias.name}", source, seen)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found |= reaches(alias.name, source, seen)
    return found


def has_reason(lines: list[str], line: int) -> bool:
    return "#" in lines[line - 1] or lines[line - 2].strip().startswith("#")


def files() -> list[Path]:
    return sorted((Path(__file__).parents[2] / "src/t2i_repro").rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda path: str(path.relative_to(Path(__file__).parents[2] / "src")))
def test_an_import_inside_a_function_is_of_something_slow_and_says_why(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines, source = text.splitlines(), Path(__file__).parents[2] / "src"
    for line, module in lazy_imports(ast.parse(text)):
        assert reaches(module, source, set()) & HEAVY, f"{file}:{line}: {module} is quick to import; move it to the top"
        assert has_reason(lines, line), f"{file}:{line}: say why {module} is imported here"


def test_the_check_finds_what_it_is_for(tmp_path: Path) -> None:
    tree = ast.parse("import json\ndef f():\n    import csv\n    from t2i_repro.core import npy\n")
    assert list(lazy_imports(tree)) == [(3, "csv"), (4, "t2i_repro.core.npy")]
    source = Path(__file__).parents[2] / "src"
    assert "torch" in reaches("t2i_repro.training.loop", source, set())
    assert not reaches("t2i_repro.planning.plan", source, set()) & HEAVY
    assert has_reason(["# why", "    import torch"], 2)
    assert not has_reason(["x = 1", "    import torch"], 2)
