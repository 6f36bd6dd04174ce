"""For authors of adapters: the conformance suite, an example, and a vendor to try things on."""
