"""The JSON shapes that service, runner and notebook share; OpenAPI document and TypeScript types come from here.

Conventions: amounts are integer micro-credits, times are ISO 8601 in UTC, durations are seconds (float), bytes travel
as base64. Requests refuse unknown fields; answers may gain fields, and readers ignore what they do not know.
"""
