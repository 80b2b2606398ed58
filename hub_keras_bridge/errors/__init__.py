"""Every exception of the package, and the shape of its message.

A message says what was being done, then, one per line, where (module, tags,
signature), what was expected, what was found and what to do about it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from hub_keras_bridge.errors.words import show_tags


@dataclass(frozen=True)
class Subject:
    """What an error is about: a module, one of its variants, one signature.

    >>> print(Subject("/modules/embed", frozenset({"train"}), "default"))
    module '/modules/embed', tags {'train'}, signature 'default'
    """

    module: str | None = None
    tags: Collection[str] | None = None
    signature: str | None = None
    # What the module is, for the sentence that says what failed.
    kind: str = "TF1 Hub module"

    def with_tags(self, tags: Collection[str]) -> Subject:
        """The same module in one variant."""
        return replace(self, tags=frozenset(tags))

    def with_signature(self, signature: str) -> Subject:
        """The same variant under one signature."""
        return replace(self, signature=signature)

    def __str__(self) -> str:
        parts = []
        if self.module is not None:
            parts.append(f"module {self.module!r}")
        if self.tags is not None:
            parts.append(f"tags {show_tags(self.tags)}")
        if self.signature is not None:
            parts.append(f"signature {self.signature!r}")
        return ", ".join(parts)


class HubError(Exception):
    """The root of every error that this package raises on purpose.

    Args:
        problem: what was being done and how it failed, one sentence.
        subject: the module, tags and signature concerned.
        expected: what would have been right.
        found: what was there instead.
        advice: what to do.

    Each is an attribute of the error. Example:

    >>> error = HubError("It failed.", Subject("/embed"), found="a cat", advice="look again")
    >>> print(error)
    It failed.
      In: module '/embed'
      Found: a cat
      What to do: look again
    >>> error.advice
    'look again'
    """

    # Keras rebuilds an error that leaves a layer's call from its first argument,
    # with the call's inputs added; it passes on one that carries this mark.
    _keras_call_info_injected = True
    # AutoGraph does likewise with an error that leaves a tf.function.
    ag_pass_through = True

    def __init__(
        self,
        problem: str,
        subject: Subject | None = None,
        *,
        expected: str | None = None,
        found: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.subject = subject or Subject()
        self.expected = expected
        self.found = found
        self.advice = advice

    def __str__(self) -> str:
        # Defined here, ahead of KeyError's own, which would show a repr.
        lines = [self.problem]
        for label, text in (
            ("In", str(self.subject)),
            ("Expected", self.expected),
            ("Found", self.found),
            ("What to do", self.advice),
        ):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(map(_shortened, lines))


# Of a part of a message. A module may have names as long as it likes, and TensorFlow
# may quote much of a graph.
_MOST_CHARACTERS = 10_000


def _shortened(text: str) -> str:
    rest = len(text) - _MOST_CHARACTERS
    return text if rest <= 0 else f"{text[:_MOST_CHARACTERS]}... ({rest:,} more characters)"


class HandleError(HubError, OSError, ValueError):
    """A handle leads to no module directory."""


class DownloadError(HubError, OSError, ValueError):
    """A module could not be fetched from where its handle points."""


class CacheError(HubError, OSError):
    """The cache cannot keep a module, or keeps a broken one."""


class ArchiveError(HubError, ValueError, OSError):
    """An archive that is refused, damaged or none at all."""


class FormatError(HubError, ValueError, OSError):
    """A directory or graph is no well-formed TF1 Hub module."""


class TagsError(HubError, ValueError, KeyError, RuntimeError):
    """A module has no variant with these tags."""


class SignatureError(HubError, ValueError, KeyError, TypeError):
    """A variant has no such signature, input or output."""


class AttachmentError(HubError, KeyError):
    """A required attached message is not there, or is none of the type asked for."""


class InputError(HubError, TypeError, ValueError):
    """A value does not fit the signature's input."""


class TrainingError(HubError, ValueError):
    """A request about trainable variables that the module cannot meet."""


class UnknownOpError(HubError, RuntimeError):
    """The graph needs ops that this TensorFlow does not have."""


class UnsafeModuleError(HubError, ValueError):
    """Safe mode refuses a module that reaches outside its own graph."""


class CheckpointError(HubError, ValueError):
    """A checkpoint lacks a variable, or holds it in another shape or dtype."""


class GraphModeError(HubError, RuntimeError, ValueError):
    """TF1 graph mode is asked for where there is none, or in another graph."""


class PublishError(HubError, ValueError, TypeError, RuntimeError):
    """A ``module_fn`` that cannot become a module."""


class ExportError(HubError, OSError):
    """A module could not be written."""


class TableError(HubError, OSError, ValueError):
    """A file of examples cannot be read or run, or its results not be written."""


class ConfigError(HubError, NotImplementedError):
    """Something cannot be made again from a config, so that it has none."""


class ConversionError(HubError, ValueError, RuntimeError):
    """A module cannot become what it is to be converted to."""


class EngineError(HubError, RuntimeError):
    """An inference engine is not there, cannot run a graph, or computes other numbers."""


class ExtraError(HubError, ImportError):
    """An extra of this package is needed, and a package that it brings is not installed."""


class BackendError(HubError, RuntimeError):
    """Keras runs, or is used, in a way that only another backend supports."""


class StrategyError(HubError, ValueError):
    """A layer is trained under a tf.distribute strategy that did not make it."""


class ForkError(HubError, RuntimeError):
    """A module is to run in a fork of a process in which TensorFlow ran."""


class SeedError(HubError, RuntimeError):
    """A random op has no seed where TensorFlow is to be deterministic."""


class XlaError(HubError, ValueError):
    """XLA is to compile ops that it does not have."""


def damaged(
    problem: str, subject: Subject | None = None, *, expected: str, found: str
) -> FormatError:
    """The error about a graph that no publisher can have meant.

    >>> raise damaged("Cannot read a node.", expected="a name", found="none")
    Traceback (most recent call last):
        ...
    hub_keras_bridge.errors.FormatError: Cannot read a node.
      Expected: a name
      Found: none
      What to do: fetch the module again; its graph is damaged
    """
    advice = "fetch the module again; its graph is damaged"
    return FormatError(problem, subject, expected=expected, found=found, advice=advice)
