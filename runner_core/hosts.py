"""The hosts of a PostgreSQL address that names several."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

LISTS = ("host", "hostaddr", "port")  # libpq's parameters that may have an entry for each host


def each_host(url: str) -> list[str]:
    """Return an address for each host of `url`, in its order; `url` alone if it has one host or a mistake."""
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:  # connecting will report the mistake
        return [url]
    lists = {name: str(parts.pop(name)).split(",") for name in LISTS if parts.get(name)}
    count = max(len(lists.get("hostaddr", [""])), len(lists.get("host", [""])))
    if count == 1 or any(len(entries) not in (1, count) for entries in lists.values()):
        return [url]
    addresses = []
    for number in range(count):
        own = {name: entries[number % len(entries)] for name, entries in lists.items()}
        addresses.append(make_conninfo("", **parts | {name: entry for name, entry in own.items() if entry}))
    return addresses


def joined(addresses: list[str]) -> str:
    """Return one address whose hosts are those of `addresses`, which `each_host` returned, in the given order."""
    if len(addresses) == 1:
        return addresses[0]
    parts = [conninfo_to_dict(address) for address in addresses]
    entries = {name: [str(one.get(name) or "") for one in parts] for name in LISTS}
    return make_conninfo("", **parts[0] | {name: ",".join(found) for name, found in entries.items() if any(found)})
