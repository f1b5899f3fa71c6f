# Asks by redis-py.
import json
import os

import redis


def say(name, value):
    print(name, json.dumps(value, separators=(",", ":")))


def refused(call):
    try:
        call()
        return "passed"
    except redis.ResponseError as e:
        return str(e)


ca = os.environ.get("REDIS_CA")
r = redis.Redis(port=int(os.environ["REDIS_PORT"]), password=os.environ.get("REDIS_PASSWORD"), client_name="shop", socket_timeout=10,
                decode_responses=True, ssl=bool(ca), ssl_ca_certs=ca, health_check_interval=1)
try:
    say("ping", r.ping() and "PONG")
except redis.RedisError as e:
    say("connect", str(e))
    raise SystemExit
for n in (1, 0, 2, 1, 2, 4):
    say("bucket", r.execute_command("CL.THROTTLE", "bucket", 2, 3, 60, n))
for _ in range(3):
    say("window", r.execute_command("INCREX", "window", "UBOUND", 2, "EX", 60, "ENX"))
one, five, expires, left, text = r.incr("n"), r.incrby("n", 4), r.expire("n", 60), r.ttl("n"), r.get("n")
say("counter", [one, five, expires, 30 < left <= 60, text])
once = lambda: r.set("once", 1, nx=True, ex=60) is True
say("once", [once(), once(), r.get("absent")])
say("pipeline", r.pipeline(transaction=False).incr("n").expire("n", 30).exists("n", "once", "absent").delete("n", "once").execute())
pipe = r.pipeline(transaction=False)
for _ in range(200):
    pipe.incr("many")
say("many", pipe.execute() == list(range(1, 201)))
say("client", [r.client_getname(), r.info()["redis_version"].startswith("7")])
say("database", refused(lambda: r.execute_command("SELECT", 1)))
say("type", refused(lambda: r.incr("bucket")))
say("script", refused(lambda: r.evalsha("da39a3ee", 1, "k", 1)))
say("transaction", refused(lambda: r.pipeline().get("absent").execute()))
say("subscribe", refused(lambda: r.execute_command("SUBSCRIBE", "news")))
say("after", r.incr("many"))
