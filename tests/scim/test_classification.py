"""Every way in which a vendor may say yes or no, and what the caller may conclude from it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.scim.answers import Answer, AnswerKind, Interruption
from shared.scim.classification import Exchange, RefusalRules, classify
from shared.scim.error_catalogue import ERROR_CATALOGUE, ErrorCode

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:Error"
HTML = b"<!DOCTYPE html><html><body>Not Found</body></html>"
GENESYS = RefusalRules(version_mismatch_status=400, version_mismatch_code="invalidVers")


def scim_error(status: Any, detail: str = "no", scim_type: str = "", **more: Any) -> bytes:
    kind = {"scimType": scim_type} if scim_type else {}
    return json.dumps({"schemas": [ERROR_URN], "status": status, "detail": detail, **kind, **more}).encode()


def answered(
    method: str,
    status: int | None,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    names_resource: bool = True,
    rules: RefusalRules | None = None,
    interruption: Interruption | None = None,
    sent: tuple[str, ...] = (),
) -> Answer:
    received = Exchange(
        method=method,
        status=status,
        headers=headers or {},
        body=body,
        interruption=interruption,
        names_resource=names_resource,
    )
    return classify(received, now=NOW, rules=rules or RefusalRules(), sent_values=sent)


KINDS = [
    pytest.param("PATCH", 200, b'{"id":"1"}', AnswerKind.OK, id="200 with a body"),
    pytest.param("PATCH", 204, b"", AnswerKind.OK, id="204"),
    pytest.param("PATCH", 200, b"not json", AnswerKind.OK, id="200 with rubbish says that the change was made"),
    pytest.param("POST", 202, b"", AnswerKind.OK, id="202"),
    pytest.param("GET", 200, b'{"id":', AnswerKind.UNREACHABLE, id="a read that is cut off is no answer"),
    pytest.param("GET", 200, b"[]", AnswerKind.UNREACHABLE, id="a read without an object is no answer"),
    pytest.param("GET", 200, b"", AnswerKind.UNREACHABLE, id="an empty read is no answer"),
    pytest.param("GET", 200, b"[" * 200_000, AnswerKind.UNREACHABLE, id="nesting without end"),
    pytest.param("GET", 200, b'{"a":NaN}', AnswerKind.UNREACHABLE, id="NaN is no JSON"),
    pytest.param("PATCH", 200, HTML, AnswerKind.WRONG_ENDPOINT, id="a login page with 200"),
    pytest.param("PATCH", 200, scim_error("409"), AnswerKind.CONFLICT, id="an error inside a 200"),
    pytest.param("GET", 301, b"", AnswerKind.WRONG_ENDPOINT, id="a redirect"),
    pytest.param("PATCH", 401, b"", AnswerKind.UNAUTHORIZED, id="401"),
    pytest.param("PATCH", 403, HTML, AnswerKind.UNAUTHORIZED, id="403"),
    pytest.param("PATCH", 404, scim_error("404"), AnswerKind.NOT_FOUND, id="404 by SCIM"),
    pytest.param("PATCH", 404, b"", AnswerKind.NOT_FOUND, id="404 without a body"),
    pytest.param("PATCH", 404, HTML, AnswerKind.WRONG_ENDPOINT, id="404 as a web page"),
    pytest.param("GET", 410, scim_error(410), AnswerKind.NOT_FOUND, id="410"),
    pytest.param("POST", 409, b"", AnswerKind.CONFLICT, id="409 without a body"),
    pytest.param("POST", 400, scim_error("400", scim_type="uniqueness"), AnswerKind.CONFLICT, id="400 uniqueness"),
    pytest.param("POST", 400, b'{"message":"User already exists"}', AnswerKind.CONFLICT, id="400 that says it exists"),
    pytest.param("POST", 403, b'{"message":"User already exists"}', AnswerKind.CONFLICT, id="403 that says it exists"),
    pytest.param(
        "POST", 400, scim_error("400", "duplicate type", "invalidValue"), AnswerKind.REJECTED,
        id="a scimType is believed before the text",
    ),
    pytest.param("PATCH", 412, b"", AnswerKind.VERSION_MISMATCH, id="412"),
    pytest.param("PATCH", 400, scim_error("400", "", "invalidVers"), AnswerKind.VERSION_MISMATCH, id="invalidVers"),
    pytest.param("PATCH", 400, scim_error("400"), AnswerKind.REJECTED, id="400"),
    pytest.param("PATCH", 413, HTML, AnswerKind.REJECTED, id="413"),
    pytest.param("PATCH", 422, b"{}", AnswerKind.REJECTED, id="422"),
    pytest.param("GET", 406, b"", AnswerKind.WRONG_ENDPOINT, id="406"),
    pytest.param("PATCH", 415, b"", AnswerKind.WRONG_ENDPOINT, id="415"),
    pytest.param("POST", 405, scim_error("405"), AnswerKind.REJECTED, id="405 by SCIM"),
    pytest.param("POST", 405, HTML, AnswerKind.WRONG_ENDPOINT, id="405 as a web page"),
    pytest.param("GET", 501, scim_error("501"), AnswerKind.REJECTED, id="501"),
    pytest.param("PATCH", 429, b"", AnswerKind.THROTTLED, id="429"),
    pytest.param("PATCH", 503, scim_error("503"), AnswerKind.THROTTLED, id="503 by SCIM is a refusal"),
    pytest.param("PATCH", 503, HTML, AnswerKind.AMBIGUOUS, id="503 of a proxy: the write may have landed"),
    pytest.param("GET", 503, HTML, AnswerKind.THROTTLED, id="503 for a read"),
    pytest.param("PATCH", 500, scim_error("500"), AnswerKind.AMBIGUOUS, id="500 after a write"),
    pytest.param("DELETE", 502, b"", AnswerKind.AMBIGUOUS, id="502 after a write"),
    pytest.param("PATCH", 408, b"", AnswerKind.AMBIGUOUS, id="408 after a write"),
    pytest.param("GET", 500, b"", AnswerKind.UNREACHABLE, id="500 for a read changes nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "status", "body", "kind"), KINDS)
def test_what_an_answer_means(method: str, status: int, body: bytes, kind: AnswerKind) -> None:
    answer = answered(method, status, body)

    assert answer.kind is kind
    assert (answer.error_code == "") is (kind is AnswerKind.OK)


@pytest.mark.parametrize("body", [scim_error("404"), b"", HTML])
def test_a_collection_that_is_not_found_is_a_wrong_address(body: bytes) -> None:
    assert answered("POST", 404, body, names_resource=False).kind is AnswerKind.WRONG_ENDPOINT


@pytest.mark.parametrize(
    ("interruption", "write", "read"),
    [
        (Interruption.NOT_SENT, AnswerKind.UNREACHABLE, AnswerKind.UNREACHABLE),
        (Interruption.TIMED_OUT, AnswerKind.AMBIGUOUS, AnswerKind.UNREACHABLE),
        (Interruption.BROKEN, AnswerKind.AMBIGUOUS, AnswerKind.UNREACHABLE),
        (Interruption.TOO_LARGE, AnswerKind.AMBIGUOUS, AnswerKind.UNREACHABLE),
    ],
)
def test_without_an_answer_only_a_write_that_left_is_ambiguous(
    interruption: Interruption, write: AnswerKind, read: AnswerKind
) -> None:
    assert answered("PATCH", None, interruption=interruption).kind is write
    assert answered("GET", None, interruption=interruption).kind is read


@pytest.mark.parametrize(("method", "kind"), [("PATCH", AnswerKind.OK), ("GET", AnswerKind.UNREACHABLE)])
def test_an_answer_too_large_to_read_still_says_what_a_write_did(method: str, kind: AnswerKind) -> None:
    assert answered(method, 200, interruption=Interruption.TOO_LARGE).kind is kind


def test_a_version_mismatch_has_the_status_of_the_profile() -> None:
    mismatch = answered("PATCH", 400, scim_error("400", scim_type="invalidVers"), rules=GENESYS)
    other = answered("PATCH", 400, scim_error("400", scim_type="invalidValue"), rules=GENESYS)

    assert (mismatch.kind, other.kind) == (AnswerKind.VERSION_MISMATCH, AnswerKind.REJECTED)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        pytest.param(b'{"id":"a/b"}', {}, "a/b", id="in the body"),
        pytest.param(b'{"id":42}', {}, "42", id="an integer"),
        pytest.param(b'{"id":true}', {}, None, id="a boolean is no id"),
        pytest.param(b"", {"location": "https://elsewhere.example/scim/Users/a%2Fb?x=1"}, "a/b", id="in the Location"),
        pytest.param(b'{"id":""}', {"location": "/Users/7/"}, "7", id="empty in the body"),
        pytest.param(b"", {}, None, id="nowhere"),
    ],
)
def test_the_id_of_a_created_account(body: bytes, headers: dict[str, str], expected: str | None) -> None:
    assert answered("POST", 201, body, headers=headers, names_resource=False).id == expected


def test_the_version_comes_from_the_header_or_from_the_resource() -> None:
    body = b'{"id":"1","meta":{"version":"W/\\"2\\""}}'

    assert answered("PATCH", 200, body, headers={"etag": '"1"'}).etag == '"1"'
    assert answered("PATCH", 200, body).etag == 'W/"2"'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        (" 30 ", 30.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("999999999", 86_400.0),
        ("Fri, 20 Nov 9999 12:00:30 GMT", 86_400.0),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("", None),
        ("\u0661", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert answered("PATCH", 429, headers={"retry-after": text}).retry_after_s == seconds


def test_clarizens_429_is_no_scim_error_and_carries_the_wait_in_its_body() -> None:
    body = json.dumps(
        {
            "statusCode": "Too Many Requests",
            "message": "API calls quota exceeded! maximum admitted 25 per Second.",
            "retryAfter": "1",
        }
    ).encode()

    answer = answered("PATCH", 429, body, headers={"content-type": "application/json"})

    assert (answer.kind, answer.retry_after_s) == (AnswerKind.THROTTLED, 1.0)
    assert answer.detail == "API calls quota exceeded! maximum admitted 25 per Second."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(scim_error("400", "said", "invalidPath"), id="as the RFC has it"),
        pytest.param(scim_error(400, "said", "invalidPath"), id="status as a number"),
        pytest.param(
            json.dumps({"schema": ERROR_URN, "detail": "said", "scimType": "invalidPath"}).encode(),
            id="schema in the singular",
        ),
        pytest.param(
            json.dumps({"message": {"status": "400", "detail": "said", "scimType": "invalidPath"}}).encode(),
            id="wrapped",
        ),
        pytest.param(
            json.dumps({"message": scim_error("400", "said", "invalidPath").decode()}).encode(), id="wrapped as a text"
        ),
        pytest.param(b"[" + scim_error("400", "said", "invalidPath") + b"]", id="in a list"),
        pytest.param(b"\xef\xbb\xbf" + scim_error("400", "said", "invalidPath"), id="behind a byte order mark"),
        pytest.param(
            json.dumps({"Schemas": [ERROR_URN], "Status": "400", "Detail": "said", "ScimType": "invalidPath"}).encode(),
            id="in capitals",
        ),
    ],
)
def test_an_error_is_understood_in_every_shape(body: bytes) -> None:
    answer = answered("PATCH", 400, body)

    assert (answer.scim_type, answer.detail) == ("invalidPath", "said")
    assert answer.error_code == ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (402, b"", ErrorCode.LICENSE_LIMIT),
        (400, b'{"detail":"No seats left in your plan"}', ErrorCode.LICENSE_LIMIT),
        (400, b'{"detail":"title is required"}', ErrorCode.MISSING_VALUES),
        (400, b'{"detail":"unverified domain"}', ErrorCode.INVALID_DOMAIN),
        (400, b'{"detail":"must be one of User, Lite"}', ErrorCode.SINGLE_VALUE_ONLY),
        (422, b'{"detail":"bad"}', ErrorCode.UNPROCESSABLE),
        (405, b"", ErrorCode.METHOD_NOT_ALLOWED),
        (501, b"", ErrorCode.NOT_IMPLEMENTED),
        (400, b"", ErrorCode.BAD_REQUEST),
    ],
)
def test_a_refusal_gets_entras_word_for_it(status: int, body: bytes, code: ErrorCode) -> None:
    assert answered("PATCH", status, body).error_code == code


def test_every_error_code_says_what_to_do() -> None:
    assert set(ERROR_CATALOGUE) == set(ErrorCode) - {ErrorCode.NONE}
    assert all(advice.meaning.endswith(".") and advice.action.endswith(".") for advice in ERROR_CATALOGUE.values())


@pytest.mark.parametrize(
    ("detail", "sent", "expected"),
    [
        pytest.param("Name Anna Krueger too long", ("Anna Krueger",), "Name ... too long", id="a value that was sent"),
        pytest.param("ANNA KRUEGER is odd", ("Anna Krueger",), "... is odd", id="in another letter case"),
        pytest.param("no DE in model", ("DE",), "no ... in model", id="a short one as a word only"),
        pytest.param("mail bert@corp.example refused", (), "mail ... refused", id="any address"),
        pytest.param("token Bearer abc.def-123 bad", (), "token ... bad", id="a token"),
        pytest.param("line one\r\nline\x00two\u202e", (), "line one line two", id="control characters"),
        pytest.param("é" * 400, (), "é" * 297 + "...", id="300 characters"),
        pytest.param("x" * 70_000, ("secret",), "the vendor's text is too long to be quoted", id="too long to search"),
    ],
)
def test_a_detail_holds_nothing_private(detail: str, sent: tuple[str, ...], expected: str) -> None:
    answer = answered("PATCH", 400, scim_error("400", detail), sent=sent)

    assert answer.detail == expected


def test_a_web_page_is_never_quoted() -> None:
    assert answered("GET", 404, b"<html>stack trace</html>").detail == "a web page came back instead of SCIM"


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
    status=st.one_of(st.integers(100, 999), st.sampled_from([200, 201, 400, 404, 409, 429, 503])),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["status", "detail", "scimType", "message", "id", "meta", "schemas"]), inner
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    header=st.dictionaries(st.sampled_from(["retry-after", "location", "etag", "content-type"]), st.text(max_size=12)),
)
def test_whatever_a_vendor_sends_an_answer_comes_out(
    method: str, status: int, body: bytes, header: dict[str, str]
) -> None:
    answer = answered(method, status, body, headers=header, sent=("Anna",))

    assert len(answer.detail) <= 300
    assert answer.error_code in list(ErrorCode)
    assert answer.kind is not AnswerKind.AMBIGUOUS or method != "GET"
