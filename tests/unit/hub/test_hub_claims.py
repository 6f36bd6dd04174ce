"""acr and amr of a sign-in become groups, whatever the administrator configured of groups before."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from oauthenticator.generic import GenericOAuthenticator
from traitlets.config import Config

from jupyter_quantum.hub import configure
from jupyter_quantum.hub.claims import claims_of, groups_from

REFEDS = "https://refeds.org/profile/mfa"


def id_token(**claims: Any) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({}, claims, {}))


def configured(**options: Any) -> Config:
    c = Config()
    c.Authenticator.manage_groups = True
    c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
    configure(c, **options)
    return c


async def groups(c: Config, auth_state: dict[str, Any]) -> set[str]:
    """What the real authenticator makes of it."""
    authenticator = GenericOAuthenticator(config=c, enable_auth_state=True)
    found: set[str] = await authenticator.get_user_groups(auth_state)
    return found


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"id_token": id_token(acr=REFEDS)}, {"a", "quantum-mfa", f"acr:{REFEDS}"}),
        ({"id_token": id_token(amr=["pwd", "mfa"])}, {"a", "quantum-mfa"}),
        ({"id_token": id_token(amr=["pwd"], acr="0")}, {"a", "acr:0"}),
        ({"id_token": "rubbish"}, {"a"}),
        ({}, {"a"}),
    ],
)
async def test_a_second_factor_is_a_group(state: dict[str, Any], found: set[str]) -> None:
    """By REFEDS' acr or RFC 8176's amr; a password alone is none; what cannot be read is nothing."""
    assert await groups(configured(), {"oauth_user": {"groups": ["a"]}} | state) == found


async def test_claims_of_the_user_info_count_too() -> None:
    """Some providers say acr there; the ID token wins where both do."""
    user = {"groups": [], "acr": REFEDS}
    assert "quantum-mfa" in await groups(configured(), {"oauth_user": user})
    assert claims_of({"id_token": id_token(acr="low"), "oauth_user": user})["acr"] == "low"


async def test_other_rules_and_another_group() -> None:
    """An administrator maps any value of acr and amr to any group; the service's mfa_group is what counts as MFA."""
    c = configured(config={"mfa_group": "strong"})
    assert "strong" in await groups(c, {"oauth_user": {"groups": []}, "id_token": id_token(amr=["mfa"])})
    c = configured(claims={"amr": {"hwk": "keys"}})
    assert await groups(c, {"oauth_user": {"groups": ["a"]}, "id_token": id_token(amr=["hwk", "mfa"])}) == {"a", "keys"}


async def test_a_function_of_the_administrator_is_asked_first() -> None:
    """Plain or asynchronous; a second configure(c) changes nothing."""
    for asynchronous in (False, True):

        async def later(state: dict[str, Any]) -> set[str]:
            return {"mine"}

        c = Config()
        c.GenericOAuthenticator.manage_groups = True
        c.GenericOAuthenticator.auth_state_groups_key = later if asynchronous else (lambda state: {"mine"})
        configure(c)
        once = c.GenericOAuthenticator.auth_state_groups_key
        configure(c)
        assert c.GenericOAuthenticator.auth_state_groups_key is once
        assert await groups(c, {"id_token": id_token(amr=["mfa"])}) == {"mine", "quantum-mfa"}


def test_a_hub_that_manages_no_groups_is_left_alone() -> None:
    """Groups of the hub's own database stay the administrator's."""
    c = Config()
    configure(c)
    assert "auth_state_groups_key" not in c.OAuthenticator


def test_odd_claims_are_no_groups() -> None:
    """Numbers, nested lists, control characters, endless texts."""
    rules = {"amr": {"mfa": "g"}}
    for claims in ({"amr": [["mfa"]]}, {"amr": 5}, {"acr": "a\nb"}, {"acr": "x" * 300}, {"acr": ["mfa"]}):
        assert groups_from(claims, rules) == set()
