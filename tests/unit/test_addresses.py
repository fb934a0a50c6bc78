"""The addresses of PostgreSQL, Redis and the API: which are right, and that no sentence about a wrong one has a part of
it."""

from pathlib import Path

import pytest
import redis
from redis.sentinel import SentinelConnectionPool

from runner_api.server.serve import Configuration
from runner_cli.commands import ENVIRONMENT
from runner_cli.listening import api_address
from runner_cli.target import DEFAULT_URL
from runner_core.addresses import API_PORT, api_bind, bind_mistake, database_mistake, passwords_of
from runner_core.errors import ConfigError
from runner_core.settings import Settings
from runner_queue.addresses import redis_mistake, settings_from
from runner_queue.sentinels import primarys_client

SECRET = "Hunter2Secret"
ROOT = Path(__file__).parents[2]

WRONG_DATABASES = {
    "a driver's name": (f"postgresql+psycopg://u:{SECRET}@h/d", "names a driver"),
    "another database's scheme": (f"mysql://u:{SECRET}@h/d", "unknown scheme"),
    "no address": (SECRET, "is not an address"),
    "double quotes": (f'"postgresql://u:{SECRET}@h/d"', "quotes"),
    "single quotes": (f"'postgresql://u:{SECRET}@h/d'", "quotes"),
    "a bare %": (f"postgresql://u:{SECRET}%zz@h/d", "%25"),
    "a bare @": (f"postgresql://u:x@{SECRET}@h/d", "%40"),
    "a bare /": (f"postgresql://u:{SECRET}/x@h/d", "%2F"),
    "a bare / behind digits": (f"postgresql://u:12/{SECRET}@h/d", "%2F"),
    "a bare @ and /": (f"postgresql://u:x@y/{SECRET}@h/d", "%2F"),
    "a space": (f"postgresql://u:x {SECRET}@h/d", "%20"),
    "a line's end": (f"postgresql://u:{SECRET}@h/d\nx", "line break"),
    "a port that is no number": (f"postgresql://u:{SECRET}@h:port/d", "port"),
    "a port out of range": (f"postgresql://u:{SECRET}@h:65536/d", "port"),
    "one of two ports": (f"postgresql://u:{SECRET}@h:5432,i:0/d", "port"),
    "an unknown option": (f"postgresql://u:{SECRET}@h/d?{SECRET}=1", "option is not known"),
    "an option without a value": (f"postgresql://u:{SECRET}@h/d?foo", "option is not known"),
    "a mode that is none": (f"postgresql://u:{SECRET}@h/d?sslmode={SECRET}", "sslmode"),
    "a number that is none": (f"postgresql://u:{SECRET}@h/d?connect_timeout={SECRET}", "connect_timeout"),
    "a certificate that is not there": (f"postgresql://u@h/d?sslrootcert=/{SECRET}", "sslrootcert"),
    "keywords without quotes": (f"host=h password={SECRET} and more", "quotes"),
}
WRONG_REDISES = {
    "no scheme": (f"u:{SECRET}@127.0.0.1:6379/0", "no scheme"),
    "another scheme": (f"http://:{SECRET}@h/0", "unknown scheme"),
    "Valkey's scheme": (f"valkey://:{SECRET}@h/0", "redis://"),
    "several hosts": (f"redis://:{SECRET}@a:1,b:2/0", "several hosts"),
    "Sentinels of no primary": (f"redis+sentinel://:{SECRET}@a:1,b:2", "does not name the primary"),
    "Sentinels and a database alone": (f"redis+sentinel://:{SECRET}@a:1,b:2/x/{SECRET}", "does not name the primary"),
    "no Sentinel": (f"redis+sentinel://:{SECRET}@/mymaster/0", "names no Sentinel"),
    "a Sentinel's port": (f"redis+sentinel://:{SECRET}@a:1,b:0/mymaster/0", "port"),
    "a Sentinel's host": (f"redis+sentinel://:{SECRET}@a:1,b!:2/mymaster/0", "host"),
    "a Sentinel's bracket": (f"redis+sentinel://:{SECRET}@a:1,[::1/mymaster/0", "host"),
    "TLS options without TLS's Sentinels": (f"redis+sentinel://a/m?ssl_password={SECRET}", "rediss+sentinel://"),
    "Sentinels' options without Sentinels": (f"redis://h/0?sentinel_password={SECRET}", "unknown option"),
    "quotes": (f"'redis://:{SECRET}@h/0'", "quotes"),
    "a space": (f"redis://:{SECRET} x@h/0", "%20"),
    "a bare #": (f"redis://:{SECRET}#x@h/0", "%23"),
    "a bare /": (f"redis://:{SECRET}/x@h/0", "%2F"),
    "a bare ?": (f"redis://:{SECRET}?x=1@h/0", "%3F"),
    "a bare [": (f"redis://:{SECRET}[x@h/0", "can't be read"),
    "a character that is no host's": (f"redis://:x@{SECRET}!/0", "host"),
    "a port that is no number": (f"redis://:{SECRET}@h:port/0", "port"),
    "a port out of range": (f"redis://:{SECRET}@h:65536/0", "port"),
    "port 0": (f"redis://:{SECRET}@h:0/0", "port"),
    "a database that is no number": (f"redis://:{SECRET}@h/{SECRET}", "number of a database"),
    "an option with a bad value": (f"redis://:{SECRET}@h/0?socket_timeout={SECRET}", "socket_timeout"),
    "an unknown option": (f"redis://:{SECRET}@h/0?{SECRET}=1", "unknown option"),
    "an option that changes the answers": (f"redis://:{SECRET}@h/0?decode_responses=1", "unknown option"),
    "TLS options without TLS": (f"redis://:{SECRET}@h/0?ssl_ca_certs=/{SECRET}", "rediss://"),
    "a certificate that is not there": (f"rediss://:{SECRET}@h/0?ssl_ca_certs=/{SECRET}", "ssl_ca_certs"),
    "a socket without a path": (f"unix://:{SECRET}@", "socket"),
}


@pytest.mark.parametrize(("url", "says"), WRONG_DATABASES.values(), ids=WRONG_DATABASES)
def test_a_mistaken_database_address_is_one_sentence_without_a_part_of_it(url: str, says: str) -> None:
    mistake = database_mistake(url)
    assert says in mistake
    assert (SECRET in mistake, "\n" in mistake) == (False, False)


@pytest.mark.parametrize(("url", "says"), WRONG_REDISES.values(), ids=WRONG_REDISES)
def test_a_mistaken_redis_address_is_one_sentence_without_a_part_of_it(url: str, says: str) -> None:
    mistake = redis_mistake(url)
    assert says in mistake
    assert (SECRET in mistake, "\n" in mistake) == (False, False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgres://u:p@h/d",
        "postgresql://u:p%40%2F@db-1.example.com:6432/d?sslmode=verify-full&connect_timeout=3&target_session_attrs=any",
        "postgresql://u:p#q?r[s@h/d",  # libpq takes all of these for the password
        "postgresql://u@[::1]:5432/d",
        "postgresql://u@h1:5432,h2:5433/d?load_balance_hosts=random",
        "postgresql:///d?host=/run/postgresql&port=5433",
        "host=db.example.com password='a b' dbname=d",
        "host=@abstract dbname=d",
        f"postgresql://u@h/d?sslrootcert={__file__}",
        "postgresql://u@h/d?sslrootcert=system",
    ],
)
def test_database_addresses_that_are_right(url: str) -> None:
    assert database_mistake(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h",
        "redis://h:6379/15",
        "redis://user:p%40%2F%23@h:6379/0",
        "redis://:a@b,c@h/0",  # redis-py takes the last @ for the host's
        "redis://[::1]:6379/0",
        "redis://redis_1/?db=3&protocol=3&socket_timeout=1.5&socket_connect_timeout=1&client_name=x&socket_keepalive=yes",
        "redis://h/0?username=u&password=p&health_check_interval=10",
        f"rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs={__file__}&ssl_ca_path=/",
        f"rediss://h/0?ssl_certfile={__file__}&ssl_keyfile={__file__}&ssl_password=x",
        "unix:///run/redis.sock?db=1",
        "unix://user:p@/run/redis.sock",
    ],
)
def test_redis_addresses_that_are_right_are_what_redis_py_takes(url: str) -> None:
    assert redis_mistake(url) == ""
    redis.Redis.from_url(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]


def test_an_address_of_sentinels_is_theirs_and_the_primarys() -> None:
    url = "redis+sentinel://me:p%40@one:26380,two,[::1]:3/my.master/4?sentinel_password=s%40&socket_timeout=2"
    assert redis_mistake(url) == ""
    pool = primarys_client(url, socket_timeout=1.0, socket_connect_timeout=1.5).connection_pool
    kwargs = pool.connection_kwargs
    assert [kwargs[name] for name in ("username", "password", "db", "socket_timeout")] == ["me", "p@", 4, 2.0]
    assert "sentinel_password" not in kwargs
    assert isinstance(pool, SentinelConnectionPool)
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("one", 26380), ("two", 26379), ("::1", 3)]
    assert {
        (one.get("username"), one["password"], one["socket_connect_timeout"], one["socket_timeout"]) for one in asked
    } == {(None, "s@", 1.0, 1.0)}, "a silent one costs a second at most"
    assert sorted(passwords_of(url)) == ["p%40", "p@", "s%40", "s@"]


def test_sentinels_with_tls_speak_tls_too() -> None:
    url = f"rediss+sentinel://one,two/mymaster?ssl_ca_certs={__file__}"
    assert redis_mistake(url) == ""
    pool = primarys_client(url).connection_pool
    assert issubclass(pool.connection_class, redis.SSLConnection)
    assert isinstance(pool, SentinelConnectionPool)
    sentinels = pool.sentinel_manager.sentinels
    assert all(issubclass(one.connection_pool.connection_class, redis.SSLConnection) for one in sentinels)
    assert {one.connection_pool.connection_kwargs["ssl_ca_certs"] for one in sentinels} == {__file__}


@pytest.mark.parametrize("bind", ["127.0.0.1:8090", "0.0.0.0:80", "[::1]:8090", "unix:/run/beacon.sock", "a:1,b:2"])
def test_places_to_listen_at(bind: str) -> None:
    assert bind_mistake(bind) == ""


@pytest.mark.parametrize("bind", ["127.0.0.1:99999", "127.0.0.1:port", "127.0.0.1", "a:1,b:0", ":"])
def test_places_that_can_not_be_listened_at(bind: str) -> None:
    assert "65535" in bind_mistake(bind)


@pytest.mark.parametrize(
    "env", [{}, {"PORT": "7000"}, {"BIND": "127.0.0.1:7001"}, {"PORT": "7000", "BIND": "[::1]:7002"}, {"PORT": " 7 "}]
)
def test_the_api_listens_where_the_local_stack_looks_for_it(env: dict[str, str]) -> None:
    right = {
        "DATABASE_URL": "postgresql://u@h/d",
        "REGIONS_FILE": str(ROOT / "regions/sandbox.toml"),
        "ALLOW_SANDBOX": "1",
        "TRUST_ENFORCE": "0",
    }
    assert Configuration.from_env(right | env).settings.api.bind == api_bind(env) == api_address(env).bind


@pytest.mark.parametrize("env", [{"PORT": "x"}, {"PORT": "0"}, {"BIND": "127.0.0.1"}, {"BIND": "a:0", "PORT": "7"}])
def test_a_place_that_can_not_be_is_told_in_the_same_words_by_both(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as api:
        Configuration.from_env(env)
    with pytest.raises(ConfigError) as stack:
        api_address(env)
    assert set(stack.value.mistakes) < set(api.value.mistakes)


def test_one_place_has_the_apis_default_port() -> None:
    """The texts of the command line that name it, too: --help imports nothing for it."""
    assert DEFAULT_URL in ENVIRONMENT["BEACON_URL"]
    folders = ("runner_core", "runner_api", "runner_cli", "runner_queue", "runner_worker", "outbox_publisher")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lines = [line for path in files for line in path.read_text().splitlines() if str(API_PORT) in line]
    assert len([line for line in lines if DEFAULT_URL not in line]) == 1


def test_every_mistaken_address_is_told_with_all_other_mistakes() -> None:
    names = ("DATABASE_URL", "LISTEN_DATABASE_URL")
    names += tuple(f"DATABASE_URL_{process}" for process in ("API", "PUBLISHER", "WORKER", "ANALYST"))
    env = dict.fromkeys(names, f'"postgresql://u:{SECRET}@h/d"') | {"REDIS_URL": f"valkey://:{SECRET}@h"}
    env |= {
        "DB_AUDIT": SECRET,
        "CONCURRENCY": SECRET,
        "DB_POOLER": SECRET,
        "ADMIN_TOKENS": SECRET,
        "RQ_KEY_PREFIX": "mine",
    }
    for process in ("api", "publisher", "worker", None):
        with pytest.raises(ConfigError) as refused:
            (Settings.from_env if process == "api" else settings_from)(env, process)
        told = {mistake.split()[0].rstrip(":") for mistake in refused.value.mistakes}
        unused = {"RQ_KEY_PREFIX", "REDIS_URL"} if process == "api" else set()
        assert told == env.keys() - unused
        assert SECRET not in refused.value.detail


def test_a_question_mark_in_a_password_is_no_beginning_of_options() -> None:
    url = Settings.from_env({"DATABASE_URL": "postgresql://u:a?b@db.example.com/d"}).database.url
    assert url.endswith("/d?sslmode=require")
