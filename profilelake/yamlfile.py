"""YAML files of the configuration, read strictly: no key twice, no unknown key, every value of its type."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from profilelake.errors import ConfigError


class Strict(BaseModel):
    """A part of such a file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


File = TypeVar("File", bound=Strict)


def read(path: Path, form: type[File], called: str | None = None) -> File:
    """The content of one file.

    Args:
        path: the file.
        form: what it must hold.
        called: what it is, for whoever must be told that it cannot be read.

    Raises:
        ConfigError: it cannot be read, is no YAML, gives a key twice, or is not of that form; with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        named = f"{called}, {path}," if called else str(path)
        raise ConfigError(f"{named} cannot be read: {reason}") from error
    try:
        return form.model_validate(yaml.load(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: {getattr(error, 'problem', None) or error}") from error
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_explain(fault)}" for fault in error.errors())) from None


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _explain(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    return f"{place or 'the file'}: {str(fault['msg']).removeprefix('Value error, ')}"
