"""The limits of counting and searching: a page shows "10,000+" instead of waiting for an exact number."""

MAX_COUNTED = 10_000  # rows of a backlog; the view region_queues has the same limit
MAX_COUNTED_BY_STATUS = 1000  # jobs of one status
MAX_SEARCHED = 20_000  # the newest jobs, whose ids a search compares
MAX_COUNTED_UNITS = 1000  # units that ended in an interval of a chart
