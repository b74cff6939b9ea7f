"""From a word to domains (paper 2, section 3): one interface, three providers.

- `lexicon`: the packaged table, built from WordNet and WordNet Domains (docs/interests.md), or a file of its form.
- `babeldomains`: BabelDomains' own file, which the user has (`profilelake.interests.babeldomains`).
- `babelnet`: what BabelNet's HTTP API said, written once by `jobs/build_lexicon.py` as a file of the packaged form.

The form: a text file in UTF-8, also compressed (.gz, .xz), whose first line is `word<TAB>domains`; then a line a word,
the word as `words.fold` spells it, its domains parted by `|`: those of its key senses, most frequent sense first, each
once. No domain: the word is known and names no interest. Lines that begin with `#` before the first are comments.
"""

from __future__ import annotations

import functools
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from profilelake.interests import babeldomains
from profilelake.interests.domains import SEPARATOR, Domains, domains
from udfs.interests.lexicon import Lexicon
from udfs.interests.words import fold

Provider = Literal["lexicon", "babeldomains", "babelnet"]

HEADER = "word\tdomains"
PACKAGED = ("domains.tsv.xz", "phrases.tsv.xz")
CLASSES_HEADER = "class_index\tsynset\tlabel\tdomains"


@functools.cache
def packaged() -> Lexicon:
    """The packaged lexicon."""
    folder = conf_dir() / "lexicons"
    entries: dict[str, tuple[str, ...]] = {}
    for name in PACKAGED:
        entries.update(read(folder / name, domains()))
    return Lexicon(
        "the packaged lexicon", entries, irregular_plurals(), read_classes(folder / "imagenet_synsets.tsv", domains())
    )


def load(provider: Provider, path: str | None = None, senses: str | None = None) -> Lexicon:
    """The lexicon of a provider.

    Args:
        provider: see the module.
        path: the provider's file. `lexicon` takes the packaged one without it, the others need it.
        senses: for `babeldomains` whose file is by synset, what says which word has which synsets.

    Raises:
        ConfigError: a file is missing or not of its form (the line is named), or an argument is missing or too many.
    """
    if senses is not None and provider != "babeldomains":
        raise ConfigError(f"the provider {provider} takes no list of senses, only babeldomains does")
    if provider == "lexicon" and path is None:
        return packaged()
    if path is None:
        raise ConfigError(f"the provider {provider} needs a path: {_NEEDS[provider]}")
    if provider == "babeldomains":
        entries = babeldomains.read(Path(path), None if senses is None else Path(senses), domains())
    else:
        entries = read(Path(path), domains())
    return Lexicon(f"{provider} {path}", entries, irregular_plurals())


_NEEDS = {
    "babeldomains": "a file of BabelDomains",
    "babelnet": "the lexicon that jobs/build_lexicon.py has written from BabelNet's API",
}


def read(path: Path, known: Domains) -> dict[str, tuple[str, ...]]:
    """The words of a lexicon file, each with its domains.

    Raises:
        ConfigError: the file cannot be read, or a line has wrong columns, a word twice or misspelt, or an unknown or
            repeated domain; the line is named.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, (word, names) in _rows(path, HEADER):
        if not word or word != fold(word):
            raise ConfigError(f"{path} line {number}: the word {word!r} must be spelt {fold(word)!r}")
        if word in found:
            raise ConfigError(f"{path} line {number}: the word {word!r} stands there twice")
        found[word] = _domains(path, number, names, known)
    return found


def read_classes(path: Path, known: Domains) -> tuple[tuple[str, ...], ...]:
    """By ImageNet class index, the domains of its synset.

    Raises:
        ConfigError: as `read`, or the classes are not those of conf/lexicons/imagenet.txt in their order.
    """
    labels = imagenet_labels()
    found: list[tuple[str, ...]] = []
    for number, (index, synset, label, names) in _rows(path, CLASSES_HEADER):
        at = len(found)
        if index != str(at) or at >= len(labels) or label != labels[at]:
            raise ConfigError(f"{path} line {number}: not class {at} of conf/lexicons/imagenet.txt")
        if not (len(synset) == 9 and synset[0] == "n" and synset[1:].isdigit()):
            raise ConfigError(f"{path} line {number}: {synset!r} is no WordNet id such as n02084071")
        found.append(_domains(path, number, names, known))
    if len(found) != len(labels):
        raise ConfigError(f"{path} has {len(found)} classes, ImageNet has {len(labels)}")
    return tuple(found)


@functools.cache
def irregular_plurals() -> dict[str, tuple[str, ...]]:
    """By irregular plural its singulars, from conf/lexicons/plurals.tsv (WordNet's list of exceptions)."""
    found: dict[str, tuple[str, ...]] = {}
    for _, (plural, singular) in _rows(conf_dir() / "lexicons" / "plurals.tsv", "plural\tsingulars"):
        found[plural] = tuple(singular.split(SEPARATOR))
    return found


def write(path: Path, entries: Mapping[str, Sequence[str]], comments: Iterable[str] = ()) -> None:
    """Write a lexicon file, ordered by domains, then words, which packs best: the same entries give the same bytes."""
    lines = [*(f"# {comment}" for comment in comments), HEADER]
    lines += [f"{word}\t{names}" for names, word in sorted((SEPARATOR.join(of), word) for word, of in entries.items())]
    half_written = path.with_name(f".{path.name}.part")
    half_written.write_bytes(_packed("\n".join(lines) + "\n", path.suffix))
    half_written.replace(path)


_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}


def _packed(text: str, suffix: str) -> bytes:
    data = text.encode()
    if suffix == ".xz":
        return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}])
    return gzip.compress(data, compresslevel=9, mtime=0) if suffix == ".gz" else data


def _rows(path: Path, header: str) -> list[tuple[int, list[str]]]:
    """The lines below the header, each split into its columns, with its number in the file, from 1."""
    try:
        data = path.read_bytes()
        data = (
            gzip.decompress(data) if path.suffix == ".gz" else lzma.decompress(data) if path.suffix == ".xz" else data
        )
        text = data.decode("utf-8")
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged, or not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from error
    columns = header.count("\t") + 1
    rows: list[tuple[int, list[str]]] = []
    begun = False
    for number, line in enumerate(io.StringIO(text), start=1):
        line = line.rstrip("\r\n")
        if not begun and line.startswith("#"):
            continue
        if not begun:
            if line != header:
                raise ConfigError(f"{path} line {number}: the first line must be {header!r}, with tabs")
            begun = True
            continue
        cells = line.split("\t")
        if len(cells) != columns:
            raise ConfigError(f"{path} line {number}: {len(cells)} columns, not {columns} parted by tabs")
        rows.append((number, cells))
    if not rows:
        raise ConfigError(f"{path} holds no word")
    return rows


def _domains(path: Path, number: int, names: str, known: Domains) -> tuple[str, ...]:
    found = tuple(names.split(SEPARATOR)) if names else ()
    for name in found:
        if name not in known:
            raise ConfigError(f"{path} line {number}: {known.fault(name)}")
    if len(set(found)) != len(found):
        raise ConfigError(f"{path} line {number}: a domain stands there twice")
    return found
