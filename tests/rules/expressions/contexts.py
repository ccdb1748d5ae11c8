"""A context with a clock that stands still, for the tests of this folder."""

import random
from datetime import UTC, datetime

from shared.rules.expressions import AppRole, EvaluationContext

ADMIN = AppRole(id="1", value="admin", displayName="Administrator")
READER = AppRole(id="2", value="reader", displayName="Reader")

CONTEXT = EvaluationContext(
    now=datetime(2026, 11, 20, 13, 5, 9, tzinfo=UTC),
    random=random.Random(7),
    new_guid=lambda: "0F8FAD5B-D9CB-469F-A165-70867728950E",
    roles=(ADMIN, READER),
    default_domain="contoso.com",
)
