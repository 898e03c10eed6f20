"""Everything Mien raises on purpose.

    MienError               one line: what is wrong, where, and what to do about it
    +-- UsageError          the call itself: a missing path, fractions that do not sum to 1, an unknown recipe
    +-- DataError           the images or their folders, archives, manifests
    +-- ModelError          a model file, or a model that does not fit the data
    +-- TrainingError       a training run that cannot go on (a collapsed network, a taken run folder)

The command line prints the message and exits with code 2; anything else that escapes is a bug.
"""


class MienError(Exception):
    """Base of all errors Mien raises on purpose; its text names the cause and the remedy."""


class UsageError(MienError):
    """A call that cannot be carried out as given."""


class DataError(MienError):
    """Images, folders, archives or manifests that cannot be used."""


class ModelError(MienError):
    """A model file that cannot be read, or a model that does not fit the data."""


class TrainingError(MienError):
    """A training run that cannot start or cannot go on."""
