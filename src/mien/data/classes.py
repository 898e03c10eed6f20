"""What data sets call their classes: our seven expressions, synonyms of them, numbers, or names of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError

_SYNONYMS = {
    "anger": "angry", "disgusted": "disgust", "afraid": "fear", "fearful": "fear", "scared": "fear",
    "happiness": "happy", "joy": "happy", "neutrality": "neutral", "sadness": "sad", "surprised": "surprise",
}  # fmt: skip
_EIGHTH = "contempt"  # of AffectNet, CK+ and FER+; a set that has it names the other seven as we do
_CLAIMING = 4  # of FER-2013's class names; whoever uses so many means all of them
_RAF_DB = "1=surprise,2=fear,3=disgust,4=happy,5=sad,6=angry,7=neutral"


def emotion(name: str) -> str | None:
    """Which of the seven a class name means, in any case; "contempt" means itself, and other names nothing.

    >>> emotion("Happiness"), emotion("ANGRY"), emotion("smile")
    ('happy', 'angry', None)
    """
    lower = name.strip().lower()
    meant = _SYNONYMS.get(lower, lower)
    return meant if meant in EMOTIONS or meant == _EIGHTH else None


def read_names(text: str) -> dict[str, str]:
    """A mapping of class names as flags give it; raises UsageError where it is none.

    >>> read_names("1=surprise, 2=fear, 8=")
    {'1': 'surprise', '2': 'fear', '8': ''}
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(equals and old.strip() for old, equals, _ in pairs):
        raise UsageError(f"{text}: not a list of <class folder>=<name>, as in {_RAF_DB}")
    return {old.strip(): new.strip() for old, _, new in pairs}


def name_classes(path: Path, labels: Collection[str], given: Mapping[str, str], official: bool) -> dict[str, str]:
    """The class that each label of a source stands for; "" where its faces are to be left out.

    `given` decides for the labels it names. The others are mapped to our seven where all are synonyms of these, and
    stay as they are where not. Raises DataError for labels that are numbers, for names that FER-2013's seem to have
    become by misspelling (they would count as an eighth class; `official`: the files' names claim to be FER-2013's),
    and where `given` names no label.
    """
    if unknown := sorted(given.keys() - set(labels)):
        raise DataError(f"{path}: has no class '{unknown[0]}'; its classes are {', '.join(sorted(labels))}")
    others = sorted(set(labels) - given.keys())
    if others and all(name.isdecimal() for name in others):
        example = _RAF_DB if others == list("1234567") else ",".join(f"{name}=..." for name in others)
        raise DataError(f"{path}: classes are numbers ({', '.join(others)}); name them: --classes {example}")
    meant = {name: emotion(name) or "" for name in others}
    if all(meant.values()):
        return {**meant, **given}
    if official or len(meant.keys() & set(EMOTIONS)) >= _CLAIMING:
        for name in (name for name in others if not meant[name]):
            if near := get_close_matches(name.lower(), EMOTIONS, n=1):
                raise DataError(f"{path}: class '{name}' is none of FER-2013's; rename the folder to '{near[0]}'")
    return {name: name for name in others} | dict(given)


def renaming(names: Mapping[str, str]) -> str:
    """In words, what was renamed and left out; "" if nothing."""
    renamed = [f"{old} as {new}" for old, new in sorted(names.items()) if new not in (old, "")]
    left_out = [old for old, new in sorted(names.items()) if not new]
    words = [f"classes read: {', '.join(renamed)}"] if renamed else []
    return "; ".join([*words, *([f"left out: {', '.join(left_out)}"] if left_out else [])])
