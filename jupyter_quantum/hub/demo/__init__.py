"""A whole hub on this machine, for trying things out: ``jupyter quantum demo``.

One hub with its proxy on loopback, the service with its runner, five people, and a fresh workspace per start. All of
it is embedded, all of it ends with the command, and nothing of it is meant for production: every kernel runs as the
unix user who started it.
"""
