"""House style of templates: descriptions, order of sections, and no secret where a deployment would keep it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.infra.symbols import is_required
from tests.infra.templates import Finding, Template, text_of, walk

_ORDER = ("metadata", "targetScope", "param", "var", "existing", "resource", "module", "output", "type")
_RUNTIME_SECRETS = ("listKeys", "listAccountSas", "listSecrets", "ConnectionString", "InstrumentationKey", "primaryKey")
_SECRET_WORDS = ("password", "secret", "token", "apikey", "connectionstring")
_NAMES_OF_SECRETS = frozenset(["secretSettings", "secretOfficers"])
"""Parameters that say which secrets there are and who keeps them; their values are no secrets."""


def check_style(template: Template) -> Iterator[Finding]:
    """Everything below, for one template."""
    yield from _check_descriptions(template)
    yield from _check_order(template)
    yield from _check_secrets(template)


def _check_descriptions(template: Template) -> Iterator[Finding]:
    for parameter in template.of("param").values():
        written = parameter.decorators.get("description", "")
        expected = "Required." if is_required(parameter) else "Optional."
        if not written.startswith((expected, "Conditional.")):
            yield template.finding(
                parameter.node, f"parameter {parameter.name}: its description begins with {expected}"
            )
    for kind in ("output", "type"):
        for declaration in template.of(kind).values():
            if not declaration.decorators.get("description"):
                yield template.finding(declaration.node, f"{kind} {declaration.name} has no description")


def _check_order(template: Template) -> Iterator[Finding]:
    latest = 0
    for declaration in template.declarations:
        place = _ORDER.index("existing" if declaration.is_existing else declaration.kind)
        if place < latest:
            yield template.finding(
                declaration.node, f"{declaration.name}: expected above, the order is {' - '.join(_ORDER)}"
            )
        latest = max(latest, place)


def _check_secrets(template: Template) -> Iterator[Finding]:
    for output in template.of("output").values():
        written = text_of(output.value) if output.value is not None else ""
        for word in _RUNTIME_SECRETS:
            if word in written:
                yield template.finding(output.node, f"output {output.name}: {word} would be kept with the deployment")
    for parameter in template.of("param").values():
        plain = parameter.name.lower().replace("_", "")
        if "secure" in parameter.decorators or (
            parameter.name not in _NAMES_OF_SECRETS and any(word in plain for word in _SECRET_WORDS)
        ):
            yield template.finding(
                parameter.node, f"parameter {parameter.name}: secrets go into the vault, not through here"
            )
    for node in walk(template.root):
        if node.type == "call_expression" and text_of(node.named_children[-2]).split(".")[-1] in _RUNTIME_SECRETS:
            yield template.finding(node, f"{text_of(node)}: keys are off, identities are used")
