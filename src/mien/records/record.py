"""The base of every record: JSON in a folder, typed, with the number of its schema."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from mien import atomic
from mien.errors import DataError, UsageError


def plain(value: Any) -> Any:
    """A record, or part of one, as values for JSON."""
    # Not the dataclass itself: of one that msgspec has read, it leaves out what was not in the file.
    return msgspec.to_builtins(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one command leaves in a folder as the JSON file `FILE`, to be read again by others.

    FILE: its name. COMMAND: what writes it. schema: the number of its form; 1 stands for files without a number,
    which version 0.1 wrote.
    """

    FILE: ClassVar[str]
    COMMAND: ClassVar[str]

    schema: int = 2

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of an older schema in today's form."""
        return fields

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in `folder`; raises UsageError where there is none, DataError for a damaged or foreign file."""
        path = folder / cls.FILE
        if not path.is_file():
            raise UsageError(f"{folder}: holds no {cls.FILE}; make one with: {cls.COMMAND}")
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(fields, dict):
                raise TypeError("not a JSON object")
            schema = int(fields.get("schema", 1))
            if schema > cls.schema:
                raise DataError(f"{path}: written by a newer version of Mien (schema {schema}); update Mien")
            if schema < cls.schema:
                fields = cls.upgrade(fields) | {"schema": cls.schema}
            return msgspec.convert(fields, cls)
        except KeyError as error:
            raise cls._damaged(path, f"lacks {error}") from None
        except (TypeError, ValueError, AttributeError, OSError, RecursionError) as error:
            raise cls._damaged(path, str(error)) from None

    @classmethod
    def found(cls, folder: Path) -> Self | None:
        """The record in `folder`, None where there is none; raises DataError for a damaged or foreign file."""
        return cls.read(folder) if (folder / cls.FILE).is_file() else None

    @classmethod
    def _damaged(cls, path: Path, reason: str) -> DataError:
        return DataError(f"{path}: damaged, or not written by Mien ({reason}); make it again with: {cls.COMMAND}")

    def to_json(self) -> dict[str, Any]:
        """The record as values for JSON; what is None is left out."""
        return {name: value for name, value in plain(self).items() if value is not None}

    def write(self, folder: Path) -> None:
        """Put the record in `folder`, whole or not at all."""
        atomic.write_json(folder / self.FILE, self.to_json())
