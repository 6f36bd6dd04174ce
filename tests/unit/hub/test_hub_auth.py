"""How long the hub's answers are believed, and for what."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import quote

import pytest

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.hub.auth import Gate, HubDirectory
from tests.unit.hub.support import ALL, JOB, READ, SUBMIT, Service, signed_in


async def submit(service: Service, token: str, device: str) -> int:
    body = json.dumps({**JOB, "device": device})
    return (await service.fetch("api/v1/jobs", token=token, method="POST", body=body)).code


async def test_reads_and_free_submits_reuse_the_answer(service: Service) -> None:
    """Many requests within seconds ask the hub once for the token and once for when the user was created."""
    token = service.hub.add("t", [READ, SUBMIT])
    for _ in range(3):
        await service.fetch("api/v1/me", token=token)
        assert await submit(service, token, "aer") == 201
    assert service.hub.asked == ["user", "users/ada"]


async def test_a_priced_submit_asks_each_time(service: Service) -> None:
    """A token that was revoked, or has lost its scope, cannot spend, whatever was remembered; reads may lag."""
    token = service.hub.add("t", [READ, SUBMIT])
    assert await submit(service, token, "campus_qpu") == 201
    assert service.hub.asked.count("user") == 1  # the first answer was fresh already
    assert await submit(service, token, "campus_qpu") == 201
    assert service.hub.asked.count("user") == 2
    other = service.hub.add("other", [READ, SUBMIT])
    assert await submit(service, other, "aer") == 201
    service.hub.tokens[other]["scopes"].remove(SUBMIT)
    assert await submit(service, other, "campus_qpu") == 403
    del service.hub.tokens[token]
    assert await submit(service, token, "aer") == 201  # free: believed for half a minute
    assert await submit(service, token, "campus_qpu") == 401
    assert await submit(service, token, "aer") == 401  # a refusal holds at once


async def test_a_priced_device_to_fall_back_to_counts(service: Service) -> None:
    """A job that names a free device first may run on the priced one: a token that was revoked cannot spend so."""
    token = service.hub.add("t", [READ, SUBMIT])
    assert await submit(service, token, "aer") == 201
    del service.hub.tokens[token]
    body = json.dumps({**JOB, "device": "aer", "fallback": ["campus_qpu"]})
    assert (await service.fetch("api/v1/jobs", token=token, method="POST", body=body)).code == 401


async def test_an_operator_may_shorten_it(service: Service) -> None:
    """Where no answer may be older than 0 s, each identification asks the hub, whatever the act would allow."""
    token = service.hub.add("t", [READ])
    gate = Gate(service.api, longest=0.0)
    for _ in range(2):
        assert await gate.identify(token, interactive=False, max_age=60.0) is not None
    assert service.hub.asked.count("user") == 2


async def test_groups_are_as_fresh_as_the_answer(service: Service) -> None:
    """After a priced submit the pipeline sees the groups that the hub has now."""
    token = service.hub.add("t", [SUBMIT])
    await submit(service, token, "aer")
    service.hub.tokens[token]["groups"] = ["other"]
    await submit(service, token, "campus_qpu")
    assert [who.groups for _, who in service.pipeline.calls] == [{"qcourse"}, {"other"}]


async def test_a_token_in_the_address_opens_nothing(service: Service) -> None:
    """?token=… is never looked at: addresses end up in logs."""
    token = service.hub.add("t", [READ])
    assert (await service.fetch(f"api/v1/me?token={token}")).code == 401


async def test_a_header_beats_a_cookie(service: Service) -> None:
    """A request with both counts as the token's, so it is never a person's."""
    token = service.hub.add("t", ["custom:quantum:read", "custom:quantum:approve"])
    headers = await signed_in(service, token)
    answer = await service.fetch(
        "api/v1/approvals/x/decision", token=token, method="POST", headers=headers, body='{"verdict": "approve"}'
    )
    assert (answer.code, json.loads(answer.body)["code"]) == (403, "auth.interactive")


async def test_a_hub_that_fails_is_unavailable(service: Service) -> None:
    """Where the hub cannot be asked the answer is 503, not a guess."""
    token = service.hub.add("t", [READ])
    service.hub.broken = True
    answer = await service.fetch("api/v1/me", token=token)
    assert (answer.code, json.loads(answer.body)["code"]) == (503, "hub.unavailable")


async def test_without_read_users_nobody_is_identified(service: Service) -> None:
    """A service that may not read when users were created refuses, and names the scope it lacks."""
    token = service.hub.add("t", [READ])
    service.hub.users.clear()
    answer = await service.fetch("api/v1/me", token=token)
    assert (answer.code, json.loads(answer.body)["code"]) == (503, "hub.scope")


async def test_a_hub_that_does_not_let_us_ask_says_of_nobody_that_they_are_gone(
    service: Service, directory: HubDirectory
) -> None:
    """A lost scope or an expired token of the service's own is an outage: on it nobody's grants and jobs are ended."""
    service.hub.add("t", [READ])
    service.hub.mute = True
    for ask in (directory.groups_of, directory.refreshed):
        with pytest.raises(Unavailable) as error:
            await ask("ada@2026-05-12T09:00:00Z")
        assert error.value.code == "hub.scope"


async def test_the_directory_tells_a_reused_name_apart(service: Service, directory: HubDirectory) -> None:
    """Groups of a principal; None for one that is gone or whose name was created anew; one question for several."""
    service.hub.add("t", [READ])
    assert await directory.groups_of("ada@2026-05-12T09:00:00Z") == {"qcourse"}
    assert await directory.groups_of("ada@2020-01-01T00:00:00Z") is None
    assert await directory.groups_of("ghost@2026-05-12T09:00:00Z") is None
    assert await directory.groups_of("checker@service") == frozenset()
    assert service.hub.asked == ["users/ada", "users/ghost"]


@pytest.mark.parametrize("header", ["token t", "Bearer t", "bearer  t ", "TOKEN t"])
async def test_both_spellings_of_a_token_work(service: Service, header: str) -> None:
    """`token` and `Bearer`, in any case."""
    service.hub.add("t", [READ])
    assert (await service.fetch("api/v1/me", headers={"Authorization": header})).code == 200


@pytest.mark.parametrize("path", ["", "api/v1/jobs", "api/v1/approvals", "api/v1/events"])
@pytest.mark.parametrize("mode", ["cors", "same-origin", "no-cors"])
async def test_a_script_reads_nothing_with_a_persons_cookie(service: Service, path: str, mode: str) -> None:
    """A notebook's script, on the same origin, gets neither the page (whose forms carry the token) nor data."""
    login = await signed_in(service, service.hub.add("t", ALL))
    script = {"Cookie": login["Cookie"], "Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-origin"}
    answer = await service.fetch(path, headers=script)
    assert answer.code == 403
    assert login["X-XSRFToken"].encode() not in answer.body


async def test_the_pages_own_script_reads_with_its_token(service: Service) -> None:
    """By header, or in the address where a header cannot be sent; a visit needs neither."""
    login = await signed_in(service, service.hub.add("t", ALL))
    script = {"Cookie": login["Cookie"], "Sec-Fetch-Mode": "cors"}
    visit = {"Cookie": login["Cookie"], "Sec-Fetch-Mode": "navigate"}
    assert (await service.fetch("api/v1/jobs", headers=script | {"X-XSRFToken": login["X-XSRFToken"]})).code == 200
    assert (await service.fetch(f"api/v1/jobs?_xsrf={quote(login['X-XSRFToken'])}", headers=script)).code == 200
    answer = await service.fetch("api/v1/jobs", headers=visit)
    assert (answer.code, answer.headers["Cross-Origin-Opener-Policy"]) == (200, "same-origin")


async def test_an_absent_user_is_asked_about_anew(service: Service, directory: HubDirectory) -> None:
    """Through the hub's handler, or plainly where it has none; one whom the provider refuses is out, not forgotten."""
    service.hub.add("t", [READ])
    ada = "ada@2026-05-12T09:00:00Z"
    assert await directory.refreshed(ada) == {"qcourse"}
    assert service.hub.asked == ["refresh/ada"]
    service.hub.refused.add("ada")
    assert await directory.refreshed(ada) is None
    assert await directory.groups_of(ada) == {"qcourse"}
    service.hub.refreshes = False
    assert await directory.refreshed(ada) == {"qcourse"}
    assert await directory.refreshed("ada@2020-01-01T00:00:00Z") is None
    assert await directory.refreshed("ghost@2026-05-12T09:00:00Z") is None
    assert await directory.refreshed("checker@service") == frozenset()
    assert await directory.refreshed("ci:x@workload:0:vqe") == frozenset()
    assert await directory.find("ada") == ada
    assert await directory.find("ghost") is None


async def test_roles_for_a_while_reach_the_page_only(service: Service) -> None:
    """What the gate adds for somebody who is signed in comes with each answer, remembered or not."""
    token = service.hub.add("t", [READ])
    service.context.gate.signed_in = lambda who: replace(who, scopes=who.scopes | {"extra"}) if who.interactive else who
    for _ in range(2):
        page = await service.context.gate.identify(token, interactive=True, max_age=60)
        bare = await service.context.gate.identify(token, interactive=False, max_age=60)
        assert page is not None
        assert bare is not None
        assert ("extra" in page.who.scopes, "extra" in bare.who.scopes) == (True, False)


async def test_how_somebody_signed_in_is_known(service: Service) -> None:
    """The groups that stand for acr and a second factor."""
    token = service.hub.add("t", [READ], groups=("qcourse", "acr:https://refeds.org/profile/mfa", "quantum-mfa"))
    found = await service.context.gate.identify(token, interactive=False, max_age=0)
    assert found is not None
    assert (found.who.acr, found.who.mfa) == ("https://refeds.org/profile/mfa", True)


async def test_tokens_of_workloads_are_not_the_hubs(service: Service) -> None:
    """The hub is not asked about them; by cookie they are nobody's."""
    bound = Principal("ci:x", "workload:0:vqe", scopes=frozenset({READ}), project="vqe")

    async def known(token: str) -> Principal | None:
        return bound if token == "jqw_good" else None

    service.context.gate.workload = known
    found = await service.context.gate.identify("jqw_good", interactive=False, max_age=60)
    assert found is not None
    assert found.who == bound
    assert await service.context.gate.identify("jqw_good", interactive=True, max_age=60) is None
    assert await service.context.gate.identify("jqw_bad", interactive=False, max_age=60) is None
    assert service.hub.asked == []
