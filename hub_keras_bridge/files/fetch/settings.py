"""What users set: by a variable of the environment or, where that is not set, by a flag.

The flags are the original library's, for programs that ``absl.app.run`` starts:
``python train.py --tfhub_cache_dir=/modules``. absl takes a flag that was defined
before it parses, so they are defined when this is imported; whoever defines one of
the same name, before or afterwards, is not in the way: the original may be imported
in the same process, and a program may have a flag ``tfhub_cache_dir`` of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from absl import flags

from hub_keras_bridge.errors.redaction import redact

LOAD_FORMATS = ("AUTO", "COMPRESSED", "UNCOMPRESSED")


@dataclass(frozen=True)
class Setting:
    """One thing to set.

    Attributes:
        variable: the name of the environment's variable.
        flag: the name of absl's flag.

    >>> Setting("HOME", "home").shown.startswith("HOME=")
    True
    """

    variable: str
    flag: str

    @property
    def value(self) -> str | None:
        """What is set, if anything is."""
        return os.environ.get(self.variable) or self._flag_value

    @property
    def shown(self) -> str:
        """What is set, and by what, for messages."""
        shown = redact(self.value or "")
        if os.environ.get(self.variable):
            return f"{self.variable}={shown}"
        return f"--{self.flag}={shown}"

    @property
    def _flag_value(self) -> str | None:
        # Not as FLAGS.name, which asks that absl has parsed: a notebook never does.
        # Some delete all flags there.
        value = flags.FLAGS[self.flag].value if self.flag in flags.FLAGS else None
        return str(value) if value else None


CACHE_DIR = Setting("TFHUB_CACHE_DIR", "tfhub_cache_dir")
LOAD_FORMAT = Setting("TFHUB_MODEL_LOAD_FORMAT", "tfhub_model_load_format")


def _define_flags() -> None:
    if CACHE_DIR.flag not in flags.FLAGS:
        flags.DEFINE_string(
            CACHE_DIR.flag,
            None,
            f"The folder in which modules are kept; the variable {CACHE_DIR.variable} goes before.",
            allow_override=True,
        )
    if LOAD_FORMAT.flag not in flags.FLAGS:
        flags.DEFINE_enum(
            LOAD_FORMAT.flag,
            LOAD_FORMATS[0],
            LOAD_FORMATS,
            "COMPRESSED copies modules of remote file systems into the cache, UNCOMPRESSED asks "
            f"servers where they lie on one; the variable {LOAD_FORMAT.variable} goes before.",
            allow_override=True,
        )


_define_flags()
