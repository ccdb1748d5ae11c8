"""Routes match as ASP.NET matches them."""

import pytest

from tests.simulation.host.routes import Route, in_order, split_path


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        pytest.param("status", "/Status", {}, id="literals ignore case"),
        pytest.param("users/{id}", "/users/a%20b", {"id": "a b"}, id="values are decoded"),
        pytest.param("users/{id}", "/users/a%2Fb", {"id": "a%2Fb"}, id="an encoded slash stays encoded"),
        pytest.param("users/{id}", "/users", None, id="a parameter is needed"),
        pytest.param("users/{id?}", "/users", {}, id="an optional one may be absent"),
        pytest.param("users/{id=me}", "/users", {"id": "me"}, id="a default stands in"),
        pytest.param("users/{id:int}", "/users/12", {"id": "12"}, id="an int fits"),
        pytest.param("users/{id:int}", "/users/x", None, id="no int does not"),
        pytest.param("users/{id:int:min(10)}", "/users/9", None, id="constraints add up"),
        pytest.param("users/{id:length(2,3)}", "/users/abcd", None, id="a length has two ends"),
        pytest.param("users/{id:regex(^a)}", "/users/abc", {"id": "abc"}, id="a pattern fits"),
        pytest.param("users/{id:guid}", "/users/not-a-guid", None, id="no guid does not"),
        pytest.param("files/{*path}", "/files/a/b", {"path": "a/b"}, id="the rest is one value"),
        pytest.param("users/{id}", "/users/1/more", None, id="a longer path is another route's"),
    ],
)
def test_a_route_against_a_path(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert Route.parse(template).match(split_path(path)) == expected


def test_the_route_that_says_most_is_tried_first() -> None:
    templates = ["{*rest}", "users/{id}", "users/{id:int}", "users/me", "{kind}/{id}"]

    ordered = [route.template for route in in_order(Route.parse(template) for template in templates)]

    assert ordered == ["users/me", "users/{id:int}", "users/{id}", "{kind}/{id}", "{*rest}"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param("users/{id:even}", "even", id="a constraint nobody knows"),
        pytest.param("users/a{id}", "whole segment", id="a parameter inside a segment"),
        pytest.param("{*rest}/users", "last", id="something after the rest"),
    ],
)
def test_a_template_is_refused_with(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Route.parse(template)
