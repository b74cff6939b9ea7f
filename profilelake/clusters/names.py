"""The listed names and their evidence: `conf/categories.yaml`, read strictly, before Spark starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from profilelake import yamlfile
from profilelake.config import Config, conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels

SELFIE = "Selfie"
# What tables call all categories together.
ALL_CATEGORIES = "all"
MAX_NAME = 80

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@")

Faces = Literal["one_dominant", "one_small", "small_group", "large_group"]


def name_fault(name: str) -> str | None:
    """What is wrong with a category's name, or None."""
    if not name.strip():
        return "the name is empty"
    if name != name.strip():
        return f"the name {name!r} begins or ends with a space"
    if len(name) > MAX_NAME:
        return f"the name {name[:20]!r}... has {len(name)} characters, more than {MAX_NAME}"
    if any(not character.isprintable() for character in name):
        return f"the name {name!r} holds a character that cannot be printed"
    if name.startswith(_FORMULA):
        return f"the name {name!r} begins with {name[0]!r}: a spreadsheet would run it as a formula"
    if name == ALL_CATEGORIES:
        return f"the name {name!r} stands for all categories together in tables"
    return None


def _valid_name(name: str) -> str:
    fault = name_fault(name)
    if fault:
        raise ValueError(fault)
    return name


Name = Annotated[str, AfterValidator(_valid_name)]


class Spoken(yamlfile.Strict):
    """What speaks for one name."""

    labels: list[str] = Field(default_factory=list)
    labels_of: list[str] = Field(default_factory=list)
    faces: Faces | None = None
    shape: Literal["very_long"] | None = None
    otherwise: bool = False

    @property
    def by_labels(self) -> bool:
        """Whether labels alone, or with faces, speak for the name."""
        return bool(self.labels or self.labels_of)


class _File(yamlfile.Strict):
    categories: dict[Name, Spoken]
    kinds_of_selfie: dict[Name, Spoken]


@dataclass(frozen=True)
class Names:
    """Listed categories and kinds of selfie with what speaks for each, in the file's order."""

    categories: Mapping[str, Spoken]
    kinds: Mapping[str, Spoken]

    def labels(self, spoken: Spoken) -> frozenset[str]:
        """All labels that speak for a name, those of `labels_of` included."""
        return frozenset(spoken.labels).union(*(self.categories[name].labels for name in spoken.labels_of))

    @cached_property
    def otherwise(self) -> str:
        """The kind of selfie of what shows no other."""
        return next(name for name, spoken in self.kinds.items() if spoken.otherwise)


def load(config: Config) -> Names:
    """The names of `naming.categories`, or of conf/categories.yaml.

    Raises:
        ConfigError: the file cannot be read, or a name is given twice, a label is unknown or speaks for two categories,
            a reference leads nowhere, or the evidence cannot be used; all faults at once, each with its place.
    """
    return read(Path(config.naming.categories) if config.naming.categories else conf_dir() / "categories.yaml")


def read(path: Path) -> Names:
    """The names of one file; see `load`."""
    found = yamlfile.read(path, _File, "the names of categories")
    faults = _faults(found)
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Names(found.categories, found.kinds_of_selfie)


def _faults(found: _File) -> list[str]:
    known = set(imagenet_labels())
    faults = []
    if SELFIE not in found.categories:
        faults.append(f"categories lack {SELFIE!r}: the measures of selfies rest on it")
    if sum(spoken.otherwise for spoken in found.kinds_of_selfie.values()) != 1:
        faults.append("kinds_of_selfie: exactly one name needs `otherwise: true`")
    owner: dict[str, str] = {}
    for section, entries in (("categories", found.categories), ("kinds_of_selfie", found.kinds_of_selfie)):
        for name, spoken in entries.items():
            for label in spoken.labels:
                if label not in known:
                    near = difflib.get_close_matches(label, known, n=1)
                    advice = f"; did you mean {near[0]!r}?" if near else ""
                    faults.append(f"{section}.{name}: ImageNet has no label {label!r}{advice}")
            if len(set(spoken.labels)) != len(spoken.labels):
                twice = sorted(label for label in set(spoken.labels) if spoken.labels.count(label) > 1)
                faults.append(f"{section}.{name}: lists {', '.join(map(repr, twice))} twice")
            faults += [
                f"{section}.{name}: labels_of names {other!r}, which is no listed category"
                for other in spoken.labels_of
                if other not in found.categories
            ]
            if section == "categories":
                faults += _category_faults(name, spoken, owner)
            elif spoken.faces or spoken.shape:
                faults.append(f"{section}.{name}: kinds of selfie are told by labels, not by faces or shape")
    return faults


def _category_faults(name: str, spoken: Spoken, owner: dict[str, str]) -> list[str]:
    faults = []
    if spoken.otherwise:
        faults.append(f"categories.{name}: `otherwise` is for kinds_of_selfie")
    if spoken.labels_of and not spoken.faces:
        faults.append(f"categories.{name}: labels_of needs faces, or the two names could not be told apart")
    if spoken.shape and (spoken.faces or spoken.by_labels):
        faults.append(f"categories.{name}: shape stands alone")
    for label in spoken.labels:
        if owner.setdefault(label, name) != name:
            faults.append(f"categories.{name}: the label {label!r} speaks for {owner[label]!r} already")
    return faults
