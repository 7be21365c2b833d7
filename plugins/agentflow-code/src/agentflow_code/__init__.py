"""Python and SQL in confined sessions, for AgentFlow."""
