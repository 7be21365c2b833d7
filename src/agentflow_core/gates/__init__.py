"""The built-in gates, from drafts to accepted questions: each asks one thing and gives its reason."""
