"""Web browsing in isolated browser contexts, for AgentFlow."""
