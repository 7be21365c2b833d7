"""A session's way out: an HTTP proxy that the engine runs at the door of the session's network, for chosen hosts only.

`opening.Doors` opens one; `serving.Proxy` answers; `reaching.Reach` decides and connects. Nothing is re-exported here,
since the records of `launchers.spec` lean on `patterns`, and all else leans on them.
"""
