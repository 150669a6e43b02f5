"""Every kind of error has a code of its own, which programs and the HTTP API rely on."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import ledger_pipeline
from ledger_pipeline import errors

CODES = {
    errors.InvalidInput: "invalid_input",
    errors.InvalidTime: "invalid_time",
    errors.FaultyInput: "faulty_input",
    errors.AppendRefused: "append_refused",
    errors.SchemaMismatch: "schema_mismatch",
    errors.EpochMismatch: "epoch_mismatch",
    errors.InvalidTemplate: "invalid_template",
    errors.InvalidDefinition: "invalid_definition",
    errors.SchemaViolation: "schema_violation",
    errors.InvalidTransition: "invalid_transition",
    errors.InvalidReference: "invalid_reference",
    errors.InvalidPageSize: "invalid_page_size",
    errors.InvalidCursor: "invalid_cursor",
    errors.InvalidFilter: "invalid_filter",
    errors.InvalidIdentifier: "invalid_identifier",
    errors.IdempotencyConflict: "idempotency_conflict",
    errors.SequenceConflict: "sequence_conflict",
    errors.VersionConflict: "version_conflict",
    errors.DeletionRefused: "deletion_refused",
    errors.NotFound: "not_found",
    errors.PermissionDenied: "permission_denied",
}


def kinds(of: type[errors.LedgerError] = errors.LedgerError) -> Iterator[type[errors.LedgerError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def test_every_kind_of_error_wherever_it_is_defined_has_a_code_of_its_own() -> None:
    for module in pkgutil.walk_packages(ledger_pipeline.__path__, "ledger_pipeline."):
        if not re.search(r"__main__|\.migrations\.|\.defs\b|definitions$", module.name):
            import_module(module.name)
    own = [kind for kind in kinds() if kind.__module__.startswith("ledger_pipeline.")]
    assert {"Held", "EventsMissing", "ColdStoreUnwritable"} <= {kind.__name__ for kind in own}
    assert [kind.__qualname__ for kind in own if "code" not in vars(kind)] == []
    codes = [kind.code for kind in own]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)


def test_codes_never_change() -> None:
    assert {kind: kind.code for kind in CODES} == CODES
    assert all(issubclass(kind, errors.LedgerError) for kind in CODES)
