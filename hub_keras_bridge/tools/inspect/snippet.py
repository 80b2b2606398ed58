"""A module's call in Python, to be pasted."""

from __future__ import annotations

from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.tools.inspect.summary import ModuleSummary, SignatureSummary, Tags

_DEFAULT = "default"


def snippet(module: ModuleSummary) -> str:
    """How a Keras program calls a module, by its signature ``default`` or else its first.

    Inputs stand for values under their own names, or ``x`` for a single one.

    Args:
        module: what :func:`inspect_module` found.

    Returns:
        Lines of Python; empty if there is no signature.
    """
    variant = module.variants[0]
    signatures = {signature.name: signature for signature in variant.signatures}
    if not signatures:
        return ""
    signature = signatures.get(_DEFAULT) or variant.signatures[0]
    lines = (
        "import hub_keras_bridge as hub",
        "",
        f"layer = hub.ModuleLayer({', '.join(_arguments(module.handle, variant.tags, signature))})",
        f"y = layer({_inputs(signature)})",
    )
    return "\n".join(map(legible, lines))


def _arguments(handle: str, tags: Tags, signature: SignatureSummary) -> list[str]:
    arguments = [_quoted(handle)]
    if tags:
        arguments.append(f"tags=[{', '.join(map(_quoted, tags))}]")
    if signature.name != _DEFAULT:
        arguments.append(f"signature={_quoted(signature.name)}")
    if _DEFAULT not in {output.name for output in signature.outputs}:
        arguments.append("as_dict=True")
    return arguments


def _inputs(signature: SignatureSummary) -> str:
    names = [each.name for each in signature.inputs]
    if len(names) == 1:
        return "x"
    values = (name if name.isidentifier() else "..." for name in names)
    pairs = (f"{_quoted(name)}: {value}" for name, value in zip(names, values, strict=True))
    return f"{{{', '.join(pairs)}}}" if names else ""


def _quoted(text: str) -> str:
    """A string as people write it.

    >>> _quoted("tokens"), _quoted('a"b')
    ('"tokens"', '\\'a"b\\'')
    """
    return repr(text) if '"' in text or "\\" in repr(text) or "'" in text else f'"{text}"'
