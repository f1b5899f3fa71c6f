# Asks by redis-rb.
require "json"
require "redis"

def say(name, value) = puts("#{name} #{JSON.generate(value)}")

def refused
  yield
  "passed"
rescue Redis::CommandError => e
  e.message.delete_prefix("ERR ")
end

ca = ENV["REDIS_CA"]
redis = Redis.new(url: "#{ca ? "rediss" : "redis"}://127.0.0.1:#{ENV.fetch("REDIS_PORT")}/0", password: ENV["REDIS_PASSWORD"],
                  ssl_params: ca && { ca_file: ca }, id: "shop", timeout: 10, reconnect_attempts: 0)
begin
  say("ping", redis.ping)
rescue Redis::BaseError => e
  say("connect", e.message)
  exit
end
[1, 0, 2, 1, 2, 4].each { |n| say("bucket", redis.call(["CL.THROTTLE", "bucket", 2, 3, 60, n])) }
3.times { say("window", redis.call(%w[INCREX window UBOUND 2 EX 60 ENX])) }
one, five, expires, left, text = redis.incr("n"), redis.incrby("n", 4), redis.expire("n", 60), redis.ttl("n"), redis.get("n")
say("counter", [one, five, expires, left > 30 && left <= 60, text])
once = -> { redis.set("once", 1, nx: true, ex: 60) }
say("once", [once.call, once.call, redis.get("absent")])
say("pipeline", redis.pipelined { |p| p.incr("n"); p.expire("n", 30); p.exists("n", "once", "absent"); p.del("n", "once") })
say("many", redis.pipelined { |p| 200.times { p.incr("many") } } == [*1..200])
say("client", [redis.client(:getname), redis.info["redis_version"].start_with?("7")])
say("database", refused { redis.call(["SELECT", 1]) })
say("type", refused { redis.incr("bucket") })
say("script", refused { redis.evalsha("da39a3ee", ["k"], [1]) })
say("transaction", refused { redis.multi { |t| t.get("absent") } })
say("subscribe", refused { redis.subscribe("news") { |_| } })
say("after", redis.incr("many"))
