"""Build the packaged lexicon: WordNet's nouns and the labels of WordNet Domains, through a reviewed map.

A synset's domains, at most three, best first:

1. The nearest rule of the map (`synsets`, `general`) up the hypernyms.
2. The synset's labels, each a vote for the domain that the map gives it. Labels of more than `MAX_DOMAINS` domains say
   nothing: the published table has synsets with over a hundred.
3. A rule of `synsets` stands first whatever the labels say. A rule of `general` breaks ties between the labels'
   domains, and speaks where there are none; below its `none` a synset has a domain only if it has fewer than
   `MIN_KINDS` kinds and most of its labels agree. Of domains with equal votes the one of the rarer label comes first.

A word's domains: the first one of each of its key senses. WordNet has no counterpart of BabelNet's key concepts, so
key are the first sense and the senses that WordNet met in its tagged texts at least half as often. Senses met equally
often are ordered by what a picture can show (ImageNet's classes first), then by whether the word heads its synset, then
by how many kinds are below it, then as WordNet orders them; among those whose domains the map's `prefer` ranks, by that
rank. Where no key sense has a domain, the first sense that is a class of ImageNet tells it, or any where WordNet has
met the word fewer than `ATTESTED` times in its first sense; else a common word whose common senses name no interest has
none.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from profilelake import yamlfile
from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from profilelake.interests import lexicon
from profilelake.interests.domains import SEPARATOR, Domains, domains
from profilelake.interests.wordnet import KEY_SHARE, WordNet
from profilelake.interests.wordnet import read as read_wordnet
from udfs.interests.words import fold

MAX_DOMAINS = 3
NONE = "none"

# A rule is not a second dictionary: it covers at least so many kinds, or is a class of ImageNet.
MIN_KINDS = 3

# Weights of votes: a label 1, a general rule half of one, a rule of `synsets` more than all labels (there are 171).
_GENERAL = 0.5
_CERTAIN = 1_000.0

# From so many occurrences on WordNet's order of senses is evidence.
ATTESTED = 5

_LATIN = "taxonomic group.1"
_OTHER_NAMES = {"crane bird": "crane", "maillot tank suit": "maillot"}


class Map(yamlfile.Strict):
    """`conf/lexicons/wordnet_domains.yaml`."""

    labels: dict[str, list[str]]
    synsets: dict[str, list[str]]
    general: dict[str, list[str]]
    prefer: list[str]
    words: dict[str, list[str]]


@dataclass(frozen=True)
class Rules:
    """The map, resolved against one WordNet.

    Attributes:
        of_label: by label of WordNet Domains its domain, or `none`.
        certain: by synset offset its domain, whatever the labels say.
        general: by synset offset its domain or `none`.
        prefer: domains, the preferred first.
        words: by word, the domain that stands instead of those of its senses.
    """

    of_label: Mapping[str, str]
    certain: Mapping[str, str]
    general: Mapping[str, str]
    prefer: Sequence[str]
    words: Mapping[str, str]


def rules(path: Path, known: Domains, wordnet: WordNet, depictable: frozenset[str]) -> Rules:
    """The map of one file.

    Args:
        path: the file.
        known: the domains.
        wordnet: the nouns that its rules name.
        depictable: offsets of ImageNet's classes, which a rule may name alone.

    Raises:
        ConfigError: the file is not of its form, names an unknown domain, label or synset, gives one twice, or a rule
            covers too few kinds; all faults at once.
    """
    given = yamlfile.read(path, Map)
    faults: list[str] = []
    sections = {"labels": given.labels, "synsets": given.synsets, "general": given.general, "words": given.words}
    for name, section in sections.items():
        faults += [f"{name}: {known.fault(key)}" for key in section if key not in known and key != NONE]
    faults += [f"prefer: {known.fault(key)}" for key in given.prefer if key not in known]

    seen: dict[str, str] = {}

    def offsets(section: str, of: Mapping[str, list[str]]) -> dict[str, str]:
        found = {}
        for domain, names in of.items():
            for name in names:
                offset = wordnet.sense(name.lower())
                if offset is None:
                    faults.append(f"{section}.{domain}: WordNet has no noun sense {name!r}")
                    continue
                if offset in seen:
                    faults.append(f"{section}.{domain}: {name!r} is the synset of {seen[offset]!r}")
                seen[offset] = name
                few = wordnet.kinds(offset) < MIN_KINDS and offset not in depictable
                if few and domain != NONE:
                    faults.append(f"{section}.{domain}: {name!r} has fewer than {MIN_KINDS} kinds")
                found[offset] = domain
        return found

    certain, general = offsets("synsets", given.synsets), offsets("general", given.general)
    of_label, words = _inverted("labels", given.labels, faults), _inverted("words", given.words, faults)
    faults += [f"words: {word!r} must be spelt {fold(word)!r}" for word in words if word != fold(word)]
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Rules(of_label, certain, general, given.prefer, words)


def _inverted(section: str, of: Mapping[str, list[str]], faults: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for domain, names in of.items():
        for name in names:
            if name in found:
                faults.append(f"{section}.{domain}: {name!r} stands there twice")
            found[name] = domain
    return found


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Labels of WordNet Domains by offset of the noun synset: lines `offset-n<TAB>label label ...`. The published table
    has a line a part of speech without an offset, which gathers what belongs to no synset; it is passed over.

    Raises:
        ConfigError: the file is missing, or a line is not of this form.
    """
    found: dict[str, tuple[str, ...]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        synset, tab, labels = line.partition("\t")
        offset, _, pos = synset.partition("-")
        if not tab or not pos or not labels or not (offset.isdigit() or not offset):
            raise ConfigError(f"{path} line {number}: not in the form of WordNet Domains")
        if offset and pos == "n":
            found[offset] = tuple(labels.split())
    return found


def read_synsets(path: Path) -> tuple[str, ...]:
    """Offsets of ImageNet's 1,000 synsets, by class index: a line `n01440764` each.

    Raises:
        ConfigError: the file is missing or is not such a list.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(lines) != len(imagenet_labels()) or not all(len(line) == 9 and line[0] == "n" for line in lines):
        raise ConfigError(f"{path} is no list of {len(imagenet_labels())} WordNet ids such as n01440764")
    return tuple(line[1:] for line in lines)


@dataclass(frozen=True)
class Builder:
    """Domains of synsets and words; see the module.

    Attributes:
        wordnet: the nouns.
        labels: labels by offset, all of them.
        rules: the map.
        classes: offsets of ImageNet's classes, by index.
    """

    wordnet: WordNet
    labels: Mapping[str, tuple[str, ...]]
    rules: Rules
    classes: Sequence[str]
    _known: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted({label for labels in self.labels.values() for label in labels} - set(self.rules.of_label))
        if unknown:
            raise ConfigError(f"the map has no domain for the labels {', '.join(unknown)}")
        for index, (label, offset) in enumerate(zip(imagenet_labels(), self.classes, strict=True)):
            synset = self.wordnet.synsets.get(offset)
            name = _OTHER_NAMES.get(label, label).lower()
            if synset is None or name not in (word.lower() for word in synset.words):
                raise ConfigError(f"ImageNet's class {index}, {label}, is no word of WordNet's synset {offset}")

    @functools.cached_property
    def _depictable(self) -> frozenset[str]:
        return frozenset(self.classes)

    @functools.cached_property
    def _frequency(self) -> Counter[str]:
        return Counter(label for labels in self.labels.values() for label in labels)

    def synset(self, offset: str) -> tuple[str, ...]:
        """Domains of a synset, at most three, best first."""
        if offset not in self._known:
            self._known[offset] = self._synset(offset)
        return self._known[offset]

    def _synset(self, offset: str) -> tuple[str, ...]:
        votes: dict[str, float] = defaultdict(float)
        rarest: dict[str, int] = {}
        labels = self.labels.get(offset, ())
        for label in labels:
            domain = self.rules.of_label[label]
            if domain != NONE:
                votes[domain] += 1.0
                rarest[domain] = min(rarest.get(domain, self._frequency[label]), self._frequency[label])
        if len(votes) > MAX_DOMAINS:
            votes.clear()
        for above in self.wordnet.above(offset):
            if above in self.rules.certain:
                votes[self.rules.certain[above]] += _CERTAIN
                break
            if above in self.rules.general:
                domain = self.rules.general[above]
                if domain == NONE and (self.wordnet.kinds(offset) >= MIN_KINDS or not _agree(votes)):
                    return ()
                if domain != NONE and (domain in votes or not votes):
                    votes[domain] += _GENERAL
                break
        order = sorted(votes, key=lambda domain: (-votes[domain], rarest.get(domain, 0), domain))
        return tuple(order[:MAX_DOMAINS])

    def senses(self, word: str) -> list[tuple[str, int]]:
        """Offsets of a word's senses, in the order in which they speak, each with how often WordNet met it."""
        offsets, counts = self.wordnet.senses[word], self.wordnet.counts[word]

        def rank(at: int) -> tuple[int, bool, bool, int, int]:
            synset = self.wordnet.synsets[offsets[at]]
            heads = synset.words[0].lower() == word
            return (-counts[at], offsets[at] not in self._depictable, not heads, -self.wordnet.kinds(offsets[at]), at)

        return self._preferred([(offsets[at], counts[at]) for at in sorted(range(len(offsets)), key=rank)])

    def _preferred(self, senses: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The senses with those whose domains the map ranks put in that order among their own places, where they are
        equally frequent and no class of ImageNet."""
        prefer = self.rules.prefer

        def domain(at: int) -> str:
            return next(iter(self.synset(senses[at][0])), "")

        places: dict[int, list[int]] = defaultdict(list)
        for at, (offset, count) in enumerate(senses):
            if domain(at) in prefer and offset not in self._depictable:
                places[count].append(at)
        found = list(senses)
        for ranked in places.values():
            for place, at in zip(ranked, sorted(ranked, key=lambda at: prefer.index(domain(at))), strict=True):
                found[place] = senses[at]
        return found

    def word(self, word: str) -> tuple[str, ...]:
        """Domains of a word of WordNet (lower case, with spaces): of each key sense the first, each once."""
        senses = self.senses(word)
        most = senses[0][1]
        key = [offset for offset, count in senses if offset == senses[0][0] or count >= max(1.0, KEY_SHARE * most)]
        found = _firsts(self.synset(offset) for offset in key)
        may_tell = [offset for offset, _ in senses if most < ATTESTED or offset in self._depictable]
        return found or _firsts(self.synset(offset) for offset in may_tell)[:1]

    def entries(self) -> dict[str, tuple[str, ...]]:
        """The lexicon: words as `words.fold` spells them. Words that are only the Latin names of taxa are left out; of
        two words that are spelt alike then, the more frequent one comes first."""
        latin = self._latin_names()
        spelt: dict[str, list[str]] = defaultdict(list)
        for word in self.wordnet.senses:
            if not latin & {word, word.split(" ")[0]} and fold(word):
                spelt[fold(word)].append(word)
        found: dict[str, tuple[str, ...]] = {}
        for folded, words in spelt.items():
            words.sort(key=lambda word: (-max(self.wordnet.counts[word]), word != folded, word))
            found[folded] = _firsts((domain,) for word in words for domain in self.word(word))
        for word, domain in self.rules.words.items():
            found[word] = (domain,)
        return found

    def _latin_names(self) -> frozenset[str]:
        """Words that name nothing but taxa, in Latin, which WordNet writes with a capital: `Canis`, `genus Canis`."""
        taxa = self.wordnet.sense(_LATIN) or ""

        def latin(word: str, offset: str) -> bool:
            spelt = next(one for one in self.wordnet.synsets[offset].words if one.lower() == word)
            return spelt != word and taxa in self.wordnet.above(offset)

        return frozenset(
            word for word, offsets in self.wordnet.senses.items() if all(latin(word, offset) for offset in offsets)
        )

    def class_lines(self) -> list[str]:
        """The table of ImageNet's classes: class index, synset, label, the synset's domains."""
        lines = [lexicon.CLASSES_HEADER]
        for index, (label, offset) in enumerate(zip(imagenet_labels(), self.classes, strict=True)):
            lines.append(f"{index}\tn{offset}\t{label}\t{SEPARATOR.join(self.synset(offset))}")
        return lines

    def plural_lines(self) -> list[str]:
        """The table of irregular plurals, as `words.fold` spells them."""
        lines = ["plural\tsingulars"]
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for plural, singulars in self.wordnet.plurals.items():
            known = (fold(singular) for singular in singulars if singular in self.wordnet.senses)
            found[fold(plural)].update((singular, None) for singular in known if singular != fold(plural))
        lines += [f"{plural}\t{SEPARATOR.join(found[plural])}" for plural in sorted(found) if found[plural]]
        return lines


def _agree(votes: Mapping[str, float]) -> bool:
    """Whether one domain has more votes than all others together."""
    return bool(votes) and 2 * max(votes.values()) > sum(votes.values())


def _firsts(of_senses: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The first domain of each, each once, in their order."""
    return tuple(dict.fromkeys(of[0] for of in of_senses if of))


def builder(sources: Path, known: Domains, path: Path | None = None) -> Builder:
    """What builds from the files in `sources`: WordNet's, `wordnet_domains.txt` and `imagenet_synsets.txt`, through the
    map at `path`, by default the packaged one.

    Raises:
        ConfigError: a file is missing or not of its form.
    """
    nouns = read_wordnet(sources)
    classes = read_synsets(sources / "imagenet_synsets.txt")
    path = path or conf_dir() / "lexicons" / "wordnet_domains.yaml"
    return Builder(
        nouns, read_labels(sources / "wordnet_domains.txt"), rules(path, known, nouns, frozenset(classes)), classes
    )


def write_all(sources: Path, out: Path) -> dict[str, int]:
    """Build everything that is packaged and write it to `out`: words, phrases, ImageNet's classes, irregular plurals.

    Returns:
        How many words there are, how many of them have a domain, and how many classes.
    """
    made = builder(sources, domains())
    entries = made.entries()
    words, phrases = (out / name for name in lexicon.PACKAGED)
    lexicon.write(words, {word: of for word, of in entries.items() if " " not in word})
    lexicon.write(phrases, {word: of for word, of in entries.items() if " " in word})
    (out / "imagenet_synsets.tsv").write_text("\n".join(made.class_lines()) + "\n", encoding="utf-8")
    (out / "plurals.tsv").write_text("\n".join(made.plural_lines()) + "\n", encoding="utf-8")
    return {"words": len(entries), "with_domain": sum(map(bool, entries.values())), "classes": len(made.classes)}
