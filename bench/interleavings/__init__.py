"""All interleavings of concurrent verbs. Each statement is a step: a proxy holds it until the scheduler sends it."""
