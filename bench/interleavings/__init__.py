"""All interleavings of verbs that can meet: each statement is a step, held at a gate until the scheduler lets it go."""
