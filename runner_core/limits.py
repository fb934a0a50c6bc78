"""The limits of counting and searching: a page shows "10,000+" instead of waiting for an exact number."""

MAX_COUNTED = 10_000  # rows of a backlog; the view region_queues has the same limit
MAX_COUNTED_BY_STATUS = 1000  # jobs of one status
MAX_COUNTED_UNITS = 1000  # units that ended in an interval of a chart
MAX_LOOKED = 1_000  # jobs that one look at a list reads, to find those that its filters want
MAX_FEW = 500  # jobs that a name, a beginning of an id, or a model may have to be found without their order
MAX_ENDED = 5_000  # jobs that the last hour's picture counts
