"""From a source user to the account it should have: attribute mappings, compiled once, evaluated per user.

Nothing here reads a clock, a network or a file: what a mapping may know comes in as the user and the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.config.mapping import Apply, AttributeMapping, Computed
from shared.config.profile import AttributeType, ResourceProfile, RoleRules, TargetAttribute
from shared.rules.attribute_paths import JSON, AttributePath, Attributes, parse_path
from shared.rules.evaluation import Evaluate, evaluation_of
from shared.rules.expressions import (
    DROP,
    EvaluationContext,
    ExpressionFailure,
    Redacted,
    RoleAssignments,
    RoleFlow,
    UniqueValue,
)
from shared.rules.failures import InvalidData
from shared.rules.roles import shape_roles
from shared.rules.source_attributes import IS_SOFT_DELETED
from shared.rules.source_user import SourceUser
from shared.rules.target_values import fit_value, takes_any_text


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingWarning:
    """An attribute that was left out although it is mapped. Holds names, never values."""

    target: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedAccount:
    """What the mappings say about one user.

    A create sends `attributes` and `on_create`; an update compares `attributes` with what was last sent. A target that
    is in neither was emptied at the source and is removed, unless `kept` names it.
    """

    attributes: Attributes
    """The state that flows on create and on every change. References are not in here."""
    on_create: Attributes
    """Values for the request that creates the account only, defaults included."""
    references: Mapping[str, str]
    """Target -> source id, to be resolved to the id of that object's account."""
    matching: tuple[tuple[str, JSON], ...]
    """Target and value by which an existing account is looked for, in order; those without a value are left out."""
    kept: frozenset[str]
    """Targets whose absence from `attributes` says nothing: create-only, dropped or never cleared."""
    add_only: frozenset[str]
    """Multi-valued targets from which nothing is taken away."""
    case_ignored: frozenset[str]
    """Targets where a change of case only is no change."""
    redacted: frozenset[str]
    """Targets whose values are not to be logged."""
    candidates: Mapping[str, tuple[str, ...]]
    """Targets with several acceptable values (SelectUniqueValue); `on_create` holds the first."""
    warnings: tuple[MappingWarning, ...]
    deactivation: Attributes
    """The part of `attributes` that follows from IsSoftDeleted: for a soft-deleted user, what takes access away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One mapping, ready to run."""

    mapping: AttributeMapping
    attribute: TargetAttribute
    path: AttributePath
    source: str
    evaluate: Evaluate
    follows_soft_delete: bool
    """The value depends on IsSoftDeleted."""
    takes_any_text: bool
    """A text with anything but blanks is placed as it is."""

    @property
    def target(self) -> str:
        return self.mapping.target


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledMappings:
    """The mappings of one resource of one application. Build it once with `compile_mappings`."""

    steps: tuple[_Step, ...]
    matching: tuple[str, ...]
    kept: frozenset[str]
    add_only: frozenset[str]
    case_ignored: frozenset[str]
    redacted: frozenset[str]


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What the steps have produced so far."""

    attributes: dict[str, JSON] = field(default_factory=dict)
    on_create: dict[str, JSON] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    candidates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    add_only: set[str] = field(default_factory=set)
    redacted: set[str] = field(default_factory=set)
    warnings: list[MappingWarning] = field(default_factory=list)


def compile_mappings(resource: ResourceProfile, roles: RoleRules | None = None) -> CompiledMappings:
    """The mappings in force, ready to run. Raises `ExpressionError` for an expression that was never checked.

    Multi-valued references (members of a group) are left out: they are written on their own.
    """
    steps = tuple(
        step
        for step in (_compile(mapping, resource, roles or RoleRules()) for mapping in resource.mappings)
        if not (step.attribute.type is AttributeType.REFERENCE and step.attribute.multi_valued)
    )
    never_cleared = (step.target for step in steps if not step.mapping.clear_when_empty or step.mapping.none)
    created = (step.target for step in steps if step.mapping.apply is Apply.ON_CREATE)
    return CompiledMappings(
        steps=steps,
        matching=tuple(matching.target for matching in resource.matching if matching.by != "none"),
        kept=frozenset({*never_cleared, *created}),
        add_only=frozenset(step.target for step in steps if step.mapping.apply is Apply.ADD_ONLY),
        case_ignored=frozenset(step.target for step in steps if not _is_case_exact(step)),
        redacted=frozenset(step.target for step in steps if step.mapping.redact),
    )


def map_account(
    mappings: CompiledMappings,
    user: Mapping[str, object],
    *,
    context: EvaluationContext,
    soft_deleted: bool | None = None,
) -> MappedAccount:
    """The account a source user should have. `user` is Graph's object; `context.roles` are its effective roles.

    `soft_deleted` is the caller's verdict (unassigned, out of scope, disabled or deleted at the source); None asks the
    object alone. Raises `InvalidData` naming target and source; never for a soft-deleted user, whose faulty
    attributes are left as they are so that access can always be taken away.
    """
    view = SourceUser(user, soft_deleted=soft_deleted)
    draft = _Draft()
    for step in mappings.steps:
        try:
            _run(step, view, draft, context=context)
        except InvalidData as failure:
            if not view.soft_deleted:
                raise
            _leave_alone(step, draft, reason=failure.reason)
    wanted = {**draft.attributes, **draft.on_create}
    return MappedAccount(
        attributes=draft.attributes,
        on_create=draft.on_create,
        references=draft.references,
        matching=tuple((target, wanted[target]) for target in mappings.matching if target in wanted),
        kept=mappings.kept | draft.kept,
        add_only=mappings.add_only | draft.add_only,
        case_ignored=mappings.case_ignored,
        redacted=mappings.redacted | draft.redacted,
        candidates=draft.candidates,
        warnings=tuple(draft.warnings),
        deactivation={
            step.target: draft.attributes[step.target]
            for step in mappings.steps
            if step.follows_soft_delete and step.target in draft.attributes
        },
    )


def _run(step: _Step, view: SourceUser, draft: _Draft, *, context: EvaluationContext) -> None:
    """Evaluate one mapping into the draft. Raises `InvalidData`."""
    value = _evaluated(step, view, context)
    # The case of nearly every attribute of nearly every account, without the questions that it makes idle.
    if step.takes_any_text and isinstance(value, str) and not value.isspace() and value:
        _place(step, value, draft)
        return
    value = _unwrapped(step, value, draft)
    if value is DROP:
        draft.kept.add(step.target)
        return
    if step.attribute.type is AttributeType.REFERENCE:
        _place_reference(step, value, draft)
        return
    fitted = fit_value(value, step.attribute)
    if fitted.problem:
        _refuse_unfit(step, view, draft, problem=fitted.problem)
    if fitted.value is not None:
        _place(step, fitted.value, draft)
    elif not fitted.problem:
        _place_nothing(step, draft)


def _evaluated(step: _Step, view: SourceUser, context: EvaluationContext) -> object:
    try:
        return step.evaluate(view, context)
    except ExpressionFailure as failure:
        raise InvalidData(target=step.target, source=step.source, reason=str(failure)) from failure


def _unwrapped(step: _Step, value: object, draft: _Draft) -> object:
    """The bare value of an expression's marker; what the marker says goes into the draft."""
    if isinstance(value, Redacted):
        draft.redacted.add(step.target)
        value = value.value
    if isinstance(value, UniqueValue):
        draft.candidates[step.target] = value.candidates
        return value.candidates[0] if value.candidates else None
    if isinstance(value, RoleAssignments):
        if value.flow is RoleFlow.ADD:
            draft.add_only.add(step.target)
        return shape_roles(value, step.path)
    return value


def _place(step: _Step, value: JSON, draft: _Draft) -> None:
    if step.mapping.apply is Apply.ON_CREATE or step.target in draft.candidates or step.mapping.none:
        draft.on_create[step.target] = value
        draft.kept.add(step.target)
    else:
        draft.attributes[step.target] = value


def _place_reference(step: _Step, value: object, draft: _Draft) -> None:
    if isinstance(value, str) and value:
        draft.references[step.target] = value
    elif step.attribute.required:
        raise InvalidData(target=step.target, source=step.source, reason="the target requires a value")


def _place_nothing(step: _Step, draft: _Draft) -> None:
    """The source is empty: the default on create, else nothing; an error where the target must have a value.

    A default is no value of the source: what was sent before is taken away like any other that became empty.
    """
    default = fit_value(step.mapping.default, step.attribute).value
    if default is not None:
        draft.on_create[step.target] = default
    elif _is_decisive(step):
        raise InvalidData(target=step.target, source=step.source, reason="the target requires a value")


def _refuse_unfit(step: _Step, view: SourceUser, draft: _Draft, *, problem: str) -> None:
    """A value of the wrong form: an error where it matters, else the attribute is left alone with a warning."""
    if _is_decisive(step) and not view.soft_deleted:
        raise InvalidData(target=step.target, source=step.source, reason=problem)
    _leave_alone(step, draft, reason=problem)


def _leave_alone(step: _Step, draft: _Draft, *, reason: str) -> None:
    draft.kept.add(step.target)
    draft.warnings.append(MappingWarning(target=step.target, source=step.source, reason=reason))
    if step.target == "active":
        draft.attributes["active"] = False


def _is_decisive(step: _Step) -> bool:
    """Whether the account must not be written without this value."""
    return step.attribute.required or step.attribute.privileged or step.target == "active"


def _is_case_exact(step: _Step) -> bool:
    own = step.mapping.case_exact
    return step.attribute.case_exact if own is None else own


def _compile(mapping: AttributeMapping, resource: ResourceProfile, roles: RoleRules) -> _Step:
    evaluate, source = evaluation_of(mapping, roles)
    attribute = resource.attribute(mapping.target) or TargetAttribute(path=mapping.target)
    return _Step(
        mapping=mapping,
        attribute=attribute,
        path=parse_path(mapping.target),
        source=source,
        evaluate=evaluate,
        follows_soft_delete=IS_SOFT_DELETED.casefold() in source.casefold()
        or mapping.computed_here is Computed.NOT_SOFT_DELETED,
        takes_any_text=attribute.type is not AttributeType.REFERENCE and takes_any_text(attribute),
    )
