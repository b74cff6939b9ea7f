"""Attributes of a user: what a list of categories adds up to (paper 1, section 5.2.3 and table 5).

The list is `conf/attributes.yaml`, or a file of one's own. It is read strictly, before Spark starts. Whether a category
that it names exists can be told only beside the lake, since people name clusters freely (`require`).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.behaviour.features import SELFIE
from profilelake.clusters.names import name_fault
from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.reasons import NO_CATEGORY_OF_IT, ONLY_SELFIES, missing

log = logging.getLogger("profilelake.behaviour")

_KEY = "attributes"
# A model is called after each attribute (`R7_<attribute>`), and MLflow takes these for a path and a version.
_NOT_IN_A_MODEL = {"/", ":"}
_TEXT = "tag:yaml.org,2002:str"
# A name within this of a listed one is likely meant to be it (difflib's ratio).
_NEAR = 0.6


@dataclass(frozen=True)
class _Named:
    """A category that the file names, and where."""

    attribute: str
    category: str
    path: Path
    line: int

    @property
    def place(self) -> str:
        """The beginning of a sentence about it."""
        return f"{self.path} line {self.line}: {self.attribute} names the category {self.category!r}"


def load(path: str | None) -> dict[str, tuple[str, ...]]:
    """The attributes, each with its categories, in the file's order.

    Args:
        path: a file; None: conf/attributes.yaml.

    Raises:
        ConfigError: the file cannot be read, has no attribute, an attribute twice or without categories, a category
            twice in one attribute, `Selfie`, or a name that cannot be one; all faults at once, each with its line.
    """
    found: dict[str, tuple[str, ...]] = {}
    for named in _read(_path(path)):
        found[named.attribute] = (*found.get(named.attribute, ()), named.category)
    return found


def require(path: str | None, known: Collection[str]) -> None:
    """See that every category which a file names is known.

    Args:
        path: as `load` takes it.
        known: the categories that exist: listed ones and those of the lake.

    Raises:
        ConfigError: one is not; all of them at once, each with its line and a known name that is near.
    """
    faults = [
        f"{named.place}, which is neither listed nor the lake's{_near(named.category, known)}"
        for named in _unknown(path, known)
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def warn_of_unlisted(path: str | None, listed: Collection[str]) -> None:
    """Say in the log which categories of a file the lake must have, because they are not listed.

    Raises:
        ConfigError: see `load`.
    """
    for named in _unknown(path, listed):
        log.warning(
            "%s, which is not listed: a cluster of the lake must be called so%s",
            named.place,
            _near(named.category, listed),
        )


def _unknown(path: str | None, known: Collection[str]) -> list[_Named]:
    return [named for named in _read(_path(path)) if named.category not in known]


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else ""


def _path(path: str | None) -> Path:
    return Path(path) if path else conf_dir() / "attributes.yaml"


def _read(path: Path) -> list[_Named]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"the attributes, {path}, cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: this is no YAML: {getattr(error, 'problem', None) or error}") from error
    faults: list[str] = []
    named = list(_walk(root, path, faults))
    if faults:
        raise ConfigError("\n".join(f"{path} {fault}" for fault in faults))
    return named


def _walk(root: yaml.Node | None, path: Path, faults: list[str]) -> Iterator[_Named]:
    """What the file names; what is wrong with it goes to `faults`, each with its line."""
    if not isinstance(root, yaml.MappingNode) or [key.value for key, _ in root.value] != [_KEY]:
        faults.append(f"line {_line(root)}: the file must hold one key, `{_KEY}`")
        return
    listed = root.value[0][1]
    if not isinstance(listed, yaml.MappingNode) or not listed.value:
        faults.append(f"line {_line(listed)}: `{_KEY}` must hold at least one attribute: its name and its categories")
        return
    seen: dict[str, int] = {}
    for key, categories in listed.value:
        name = _name(key, "an attribute", faults)
        if name is None:
            continue
        if _NOT_IN_A_MODEL & set(name):
            faults.append(f"line {_line(key)}: the attribute {name!r} holds / or :, which names of models cannot")
        if name in seen:
            faults.append(f"line {_line(key)}: the attribute {name!r} is given twice, first in line {seen[name]}")
        seen.setdefault(name, _line(key))
        for category, line in _categories(name, categories, faults):
            yield _Named(name, category, path, line)


def _categories(attribute: str, node: yaml.Node, faults: list[str]) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        faults.append(f"line {_line(node)}: the attribute {attribute!r} must list its categories, at least one")
        return
    seen: dict[str, int] = {}
    for entry in node.value:
        category = _name(entry, f"a category of {attribute!r}", faults)
        if category == SELFIE:
            faults.append(
                f"line {_line(entry)}: {attribute!r} names {SELFIE!r}, but attributes are of what is no selfie"
            )
        elif category in seen:
            faults.append(
                f"line {_line(entry)}: {attribute!r} names {category!r} twice, first in line {seen[category]}"
            )
        elif category is not None:
            seen[category] = _line(entry)
            yield category, _line(entry)


def _name(node: yaml.Node, what: str, faults: list[str]) -> str | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag != _TEXT:
        faults.append(f"line {_line(node)}: {what} must be a text{_quote(node)}")
        return None
    fault = name_fault(node.value)
    if fault:
        faults.append(f"line {_line(node)}: {what}: {fault}")
        return None
    return str(node.value)


def _quote(node: yaml.Node) -> str:
    return f"; put quotes around {node.value}" if isinstance(node, yaml.ScalarNode) and node.value else ""


def _line(node: yaml.Node | None) -> int:
    return 1 if node is None else node.start_mark.line + 1


def log_absent(attributes: Mapping[str, Collection[str]], present: Collection[str]) -> None:
    """Say in the log which categories of the attributes the lake lacks."""
    for attribute, categories in attributes.items():
        absent = [category for category in categories if category not in present]
        if len(absent) == len(categories):
            log.warning("attribute %s: the lake has none of its categories, so it has no value", attribute)
        elif absent:
            log.info("attribute %s: the lake lacks %s", attribute, ", ".join(absent))


def user_attributes(
    counts: DataFrame, attributes: Mapping[str, Collection[str]], present: Collection[str], fit_id: str
) -> DataFrame:
    """Rows of `user_attributes`: of every user and attribute the sum of the frequencies of its categories, selfies left
    out above and below (paper 1, 5.2.3).

    A user with other pictures but none of these has 0. NULL is the value of an attribute whose categories the lake
    lacks, all of them, and of a user who posts nothing but selfies.

    Args:
        counts: as `features.category_counts` returns them.
        attributes: as `load` returns them.
        present: the categories of the lake.
        fit_id: the fit of the categories.
    """
    totals = counts.groupBy("user_id").agg(
        _sum_where(F.col("category") != SELFIE).alias("others"),
        *[_sum_where(F.col("category").isin(*names)).alias(f"of_{i}") for i, names in enumerate(attributes.values())],
    )
    entries = [
        F.struct(
            F.lit(name).alias("attribute"),
            F.col(f"of_{i}").alias("occurrences"),
            F.lit(not set(present).isdisjoint(names)).alias("there"),
        )
        for i, (name, names) in enumerate(attributes.items())
    ]
    each = totals.select("user_id", "others", F.explode(F.array(*entries)).alias("of"))
    # one division of whole numbers: a sum of quotients would depend on their order in its last digit
    valued = each.select(
        "user_id",
        F.col("of.attribute").alias("attribute"),
        F.when(F.col("of.there"), F.try_divide("of.occurrences", "others")).alias("value"),
        F.col("of.occurrences").alias("occurrences"),
        F.lit(fit_id).alias("fit_id"),
        F.col("of.there").alias("there"),
    )
    why = F.when(F.col("there"), F.lit(ONLY_SELFIES)).otherwise(F.lit(NO_CATEGORY_OF_IT))
    return valued.withColumn("missing", missing({"value": why})).drop("there")


def _sum_where(condition: Column) -> Column:
    """Occurrences of some categories, added up; 0 without any."""
    return F.coalesce(F.sum(F.when(condition, F.col("occurrences"))), F.lit(0))
