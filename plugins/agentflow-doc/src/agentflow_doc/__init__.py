"""Search and read multimodal documents, for AgentFlow."""
