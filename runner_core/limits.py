"""How far something is counted or searched: a page says "10,000+" instead of waiting for an exact number."""

MAX_COUNTED = 10_000  # of a backlog; the view region_queues has the same number
MAX_COUNTED_BY_STATUS = 1000  # jobs of one status
MAX_SEARCHED = 20_000  # the newest jobs in whose ids a search looks for a part
