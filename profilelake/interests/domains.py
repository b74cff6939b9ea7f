"""The 34 domains of interest (paper 2, section 3, and its conclusion): `conf/domains.yaml`, their one place."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from profilelake import yamlfile
from profilelake.config import conf_dir
from profilelake.errors import ConfigError

# BabelDomains has as many (Camacho-Collados and Navigli, 2017, section 2).
COUNT = 34

# Parts the domains of one word in files and columns: a name may hold a comma.
SEPARATOR = "|"


class _Domain(yamlfile.Strict):
    description: str
    babel: str
    api: list[str]


class _File(yamlfile.Strict):
    domains: dict[str, _Domain]


@dataclass(frozen=True)
class Domains:
    """The domains in the file's order.

    Attributes:
        descriptions: what belongs to a domain, by its name.
        of_api: the domain that a name of BabelNet's HTTP API stands for.
    """

    descriptions: Mapping[str, str]
    of_api: Mapping[str, str]
    _of_babel: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.descriptions)

    def __contains__(self, name: object) -> bool:
        return name in self.descriptions

    def __len__(self) -> int:
        return len(self.descriptions)

    def of_babel(self, name: str) -> str | None:
        """The domain that a name in BabelDomains' files stands for; None for no domain of ours."""
        return self._of_babel.get(_plain(name))

    def fault(self, name: str) -> str:
        """What to say of a name that is no domain."""
        near = difflib.get_close_matches(name, self.descriptions, n=1)
        return f"no domain is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


@functools.cache
def domains() -> Domains:
    """The packaged domains."""
    return read(conf_dir() / "domains.yaml")


def read(path: Path) -> Domains:
    """The domains of one file.

    Raises:
        ConfigError: the file cannot be read, has not 34 domains, or a name is empty, not in lower case, or stands for
            two domains.
    """
    found = yamlfile.read(path, _File).domains
    faults = [] if len(found) == COUNT else [f"it has {len(found)} domains, BabelDomains has {COUNT}"]
    of_api: dict[str, str] = {}
    of_babel: dict[str, str] = {}
    for name, domain in found.items():
        if not name.strip() or name != name.strip().lower() or SEPARATOR in name:
            faults.append(f"{name!r}: a name is in lower case, without {SEPARATOR} and without spaces around it")
        if not domain.description.strip():
            faults.append(f"{name}: the description is empty")
        for index, other in ((of_babel, _plain(domain.babel)), *((of_api, other) for other in domain.api)):
            if index.setdefault(other, name) != name:
                faults.append(f"{name}: {other!r} stands for {index[other]!r} already")
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Domains({name: domain.description for name, domain in found.items()}, of_api, of_babel)


def _plain(name: str) -> str:
    """BabelDomains' own spelling varies in commas and capitals."""
    return " ".join(re.findall(r"[a-z]+", name.lower()))
