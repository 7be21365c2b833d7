"""The ``agentflow`` command. Importing this imports nothing else."""
