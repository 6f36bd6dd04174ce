"""The runner: sandboxed workers that parse, check, transpile and simulate, and adapters to devices.

======================  ==========================================================================================
:mod:`.runner`          asks the service for work over HTTP and reports; holds the runner's token, sees no circuit
:mod:`.pool`            hands each task to a locked worker, kills what runs too long, never shares one between users
:mod:`.zygote`          a clean process with Qiskit imported; forks the workers
:mod:`.worker`          one task, or one user's session: the only place where a circuit is parsed
:mod:`.sandbox`         what a worker may not do: network, processes, files, memory
:mod:`.adapters`        one file a kind of device
======================  ==========================================================================================
"""
