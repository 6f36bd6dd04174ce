"""The teller of the story is not easily satisfied."""

from __future__ import annotations

import json

from tests.integration.story.tale import Said, names_in, not_told, payloads

PEOPLE = {"ppl_1": "zoe"}
ENTRIES = [
    {"type": "job.moved", "actor": "ppl_1", "project": "qlab", "data": {"to": "draft", "device": "aer"}},
    {"type": "job.moved", "actor": "service", "project": "qlab", "data": {"to": "rejected"}},
]
DRAFT = Said("job.moved", "zoe", "qlab", {"to": "draft"})
REJECTED = Said("job.moved", "service", "qlab", {"to": "rejected"})


def test_what_is_missing_is_named() -> None:
    """Entries must be there, in order, by the right person, in the right project, with the right facts."""
    assert not_told([DRAFT, REJECTED], ENTRIES, PEOPLE) is None
    assert not_told([REJECTED, DRAFT], ENTRIES, PEOPLE) == DRAFT
    assert not_told([DRAFT, DRAFT], ENTRIES, PEOPLE) == DRAFT
    assert not_told([DRAFT], ENTRIES, {}) == DRAFT
    for other in (
        Said("job.moved", "zoe", None, {"to": "draft"}),
        Said("job.moved", "zoe", "qlab", {"to": "queued"}),
        Said("export.changed", "zoe", "qlab", {}),
    ):
        assert not_told([other], ENTRIES, PEOPLE) == other


def test_a_name_in_an_export_is_found() -> None:
    """Payloads are taken out of an export's lines; a name anywhere in its text is given away."""
    lines = [{"leaf": 1, "payload": json.dumps(ENTRIES[0])}, {"checkpoint": "…"}, {"end": {"leaves": 1}}]
    text = "\n".join(json.dumps(line) for line in lines)
    assert payloads(text) == ENTRIES[:1]
    assert names_in(text, ["zoe"]) == []
    assert names_in(text.replace("aer", "zoe"), ["zoe", "carl"]) == ["zoe"]
