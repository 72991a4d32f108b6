"""Validation against the JSON schemas of `core/schemas/`, with errors that name the key and what is allowed."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource

from t2i_repro.core.choices import FORMS, SPLITS
from t2i_repro.errors import ReproError

SCHEMAS = Path(__file__).parent / "schemas"

Schema = dict[str, Any]

# Parts of the schemas that declarations (core/declarations.py) consist of.
COUNT: Schema = {"type": "integer", "minimum": 1}
RATE: Schema = {"type": "number", "exclusiveMinimum": 0}
WEIGHT: Schema = {"type": "number", "minimum": 0}
SEED: Schema = {"type": "integer", "minimum": 0}
GAMMAS: dict[str, Schema] = {"gamma1": RATE, "gamma2": RATE, "gamma3": RATE}


def choice(values: Iterable[object]) -> Schema:
    """One of these values (`core/choices.py`)."""
    return {"enum": [*values]}


SPLIT = choice(SPLITS)
SWITCH = choice(FORMS)


def keys(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """A mapping with these keys and no others."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "additionalProperties": False, "required": [*required], "properties": properties}


def read_yaml(path: Path) -> Any:
    """A YAML file as plain Python values. Raises ReproError naming the file."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReproError(f"{path}: cannot be read as YAML: {error}") from error


@cache
def schemas() -> dict[str, Any]:
    """All schemas by file name."""
    return {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.yaml")}


@cache
def validator(schema: str, part: str = "") -> Draft202012Validator:
    content = schemas()[schema]
    return validator_of({"$ref": f"#/$defs/{part}", "$defs": content["$defs"]} if part else content, schema)


def validator_of(schema: dict[str, Any], name: str) -> Draft202012Validator:
    """A validator whose relative references (`paper.yaml#/...`) find the files of `core/schemas/`."""
    registry: Registry[Any] = Registry().with_resources(
        [(file, Resource.from_contents(content)) for file, content in schemas().items()]
    )
    return Draft202012Validator({**schema, "$id": name}, registry=registry)


def validate(value: Any, schema: str | dict[str, Any], source: str, part: str = "", at: str = "") -> None:
    """Raise ReproError naming the key, the value found and what is allowed, unless `value` fits a schema: that of a
    file in `core/schemas/`, or the `part` of its definitions; or one passed as a mapping.

    `source` is what the user calls the value: a file, or a file and `--config`; `at` is its key there.
    """
    checker = validator(schema, part) if isinstance(schema, str) else validator_of(schema, "declared")
    error = best_match(checker.iter_errors(value))
    if error is not None:
        raise ReproError(f"{source}: {explain(error, at)}")


def explain(error: ValidationError, at: str = "") -> str:
    """One line: where, what was found, what is allowed."""
    key = ".".join([*([at] if at else []), *map(str, error.absolute_path)]) or "(top level)"
    schema: Any = error.schema
    instance: Any = error.instance
    expected: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = set(schema.get("properties", {}))
        unknown = sorted(name for name in instance if name not in known)
        allowed = ", ".join(sorted(known)) or "; ".join(schema.get("patternProperties", {}))
        found = "; ".join(f"{name!r} (value {instance[name]!r})" for name in unknown)
        return f"{key}: unknown key {found}; allowed: {allowed}"
    if error.validator == "enum":
        return f"{key}: found {error.instance!r}; allowed: {', '.join(map(repr, expected))}"
    hint = ""
    if error.validator == "type" and isinstance(error.instance, str):
        hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if looks_like_number(error.instance) else ""
    allowed = f"; allowed: {error.validator} {expected!r}"
    return f"{key}: {error.message}{allowed}{hint}"


def looks_like_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
