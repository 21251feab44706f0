"""The API, /api/v1 and /metrics: JSON for programs that come with a token. No session, no CSRF token, no page."""
