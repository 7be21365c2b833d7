"""The test kit for AgentFlow and for its plugins; import the module that you need.

``agentflow_core.testing.plugins`` builds plugin hosts and distributions for a test. With pytest, the fixtures of
``agentflow_core.testing.pytest_plugin`` are there as soon as agentflow-core is installed.
"""
