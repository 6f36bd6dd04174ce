"""What the identity provider says of a sign-in (``acr``, ``amr``) becomes hub groups, and so reaches policy.

The hub's groups are the only thing of a sign-in that its API tells, and the hub asks the provider for them again at
each refresh: so the claims are put where groups are worked out, and there is no second table of people. Standard
library only: this module is loaded into the hub's process.
"""

from __future__ import annotations

import base64
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

__all__ = ["ACR", "MFA", "claims_of", "groups_from", "install"]

log = logging.getLogger("jupyter_quantum.hub")

MFA: Final[Mapping[str, tuple[str, ...]]] = {
    "acr": ("https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"),
    "amr": ("mfa",),
}
"""Claim → values that stand for a second factor: REFEDS MFA, Microsoft's, and RFC 8176's ``mfa``."""
ACR: Final = "acr:"
"""What the names of groups begin with that say how somebody signed in."""
_LONGEST: Final = 200

Groups = Callable[[Mapping[str, Any]], Iterable[str] | Awaitable[Iterable[str]]]


def install(c: Any, mfa_group: str, rules: Mapping[str, Mapping[str, str]] | None) -> None:
    """Add groups for claims to those that the authenticator finds, where it manages groups at all.

    ``rules``: claim → value → group; those for a second factor (:data:`MFA`) where None.
    """
    if not _manages_groups(c):
        return
    told = rules if rules is not None else {claim: dict.fromkeys(values, mfa_group) for claim, values in MFA.items()}
    sections = [section for section in c.values() if hasattr(section, "get") and "auth_state_groups_key" in section]
    for section in sections or [c.OAuthenticator]:
        there = section.get("auth_state_groups_key")
        if not getattr(there, "_jupyter_quantum", False):
            section.auth_state_groups_key = _joined(there, told)


def _manages_groups(c: Any) -> bool:
    return any(hasattr(section, "get") and section.get("manage_groups") is True for section in c.values())


def _joined(first: Groups | str | None, rules: Mapping[str, Mapping[str, str]]) -> Groups:
    async def groups(auth_state: Mapping[str, Any]) -> set[str]:
        if callable(first):
            found = first(auth_state)
            found = await found if inspect.isawaitable(found) else found
        else:
            found = _at(auth_state, first)
        return {*found, *groups_from(claims_of(auth_state), rules)}

    groups._jupyter_quantum = True  # type: ignore[attr-defined]
    return groups


def _at(auth_state: Mapping[str, Any], key: str | None) -> Iterable[str]:
    """The groups under a dotted key, as OAuthenticator reads it."""
    found: Any = auth_state
    for part in key.split(".") if key else ():
        found = found.get(part) if isinstance(found, Mapping) else None
    if key and not isinstance(found, list | tuple | set | frozenset):
        log.error("%s is no list of groups in what the identity provider said", key)
    return found if isinstance(found, list | tuple | set | frozenset) else ()


def claims_of(auth_state: Mapping[str, Any]) -> dict[str, Any]:
    """``acr`` and ``amr`` of the ID token, else of the user info.

    The token's signature is not checked: the hub had it from the provider itself, over TLS (OpenID Connect Core 1.0,
    section 3.1.3.7).
    """
    said = _payload(auth_state.get("id_token"))
    user = auth_state.get("oauth_user")
    info = user if isinstance(user, Mapping) else {}
    found = {name: said.get(name, info.get(name)) for name in ("acr", "amr")}
    return {name: value for name, value in found.items() if value}


def _payload(token: object) -> Mapping[str, Any]:
    try:
        part = str(token).split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def groups_from(claims: Mapping[str, Any], rules: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The groups that these claims stand for, and one that repeats ``acr`` so that policy sees it."""
    found = set()
    for claim, groups in rules.items():
        value = claims.get(claim)
        values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        found |= {groups[one] for one in values if isinstance(one, str) and one in groups}
    acr = claims.get("acr")
    if isinstance(acr, str) and acr.isprintable() and len(acr) <= _LONGEST:
        found.add(f"{ACR}{acr}")
    return found
