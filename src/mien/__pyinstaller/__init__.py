"""What PyInstaller is told about Mien; it finds this room by an entry point, and nothing else imports it."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Where the hook lies."""
    return [str(Path(__file__).parent)]
