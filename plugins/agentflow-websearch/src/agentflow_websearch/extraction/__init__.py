"""Take the text out of HTML, in processes of its own that can be stopped.

`pool.Extractors` keeps the processes; `process` is what runs in them and leans on nothing of AgentFlow, so that it
starts quickly and knows no keys.
"""
