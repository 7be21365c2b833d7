"""Web search and page reading, for AgentFlow."""
