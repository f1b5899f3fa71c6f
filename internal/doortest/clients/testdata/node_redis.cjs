// Asks by node-redis, which sends all commands of one turn of the event loop together.
const { createClient } = require("redis");

const say = (name, value) => console.log(name, JSON.stringify(value));
const refused = (call) => call.then(() => "passed", (e) => e.message.replace(/^ERR /, ""));

async function main() {
  const tls = process.env.REDIS_CA && { tls: true, ca: require("fs").readFileSync(process.env.REDIS_CA) };
  const redis = createClient({
    name: "shop",
    database: 0,
    password: process.env.REDIS_PASSWORD,
    socket: { host: "127.0.0.1", port: Number(process.env.REDIS_PORT), reconnectStrategy: () => new Error("gone"), ...tls },
  });
  let why;
  redis.on("error", (e) => (why ??= e));
  try {
    await redis.connect();
    say("ping", await redis.ping());
  } catch (e) {
    return say("connect", (why ?? e).message);
  }
  for (const n of ["1", "0", "2", "1", "2", "4"]) say("bucket", await redis.sendCommand(["CL.THROTTLE", "bucket", "2", "3", "60", n]));
  for (let i = 0; i < 3; i++) say("window", await redis.sendCommand(["INCREX", "window", "UBOUND", "2", "EX", "60", "ENX"]));
  const [one, five, expires, left, text] = await Promise.all(
    [redis.incr("n"), redis.incrBy("n", 4), redis.expire("n", 60), redis.ttl("n"), redis.get("n")]);
  say("counter", [one, five, expires, left > 30 && left <= 60, text]);
  const once = () => redis.set("once", "1", { EX: 60, NX: true });
  say("once", [(await once()) === "OK", (await once()) === "OK", await redis.get("absent")]);
  say("pipeline", await redis.multi().incr("n").expire("n", 30, "LT").exists(["n", "once", "absent"]).del(["n", "once"]).execAsPipeline());
  const many = await Promise.all(Array.from({ length: 200 }, () => redis.incr("many")));
  say("many", many.every((n, i) => n === i + 1));
  say("client", [await redis.clientGetName(), /redis_version:7/.test(await redis.info())]);
  say("database", await refused(redis.sendCommand(["SELECT", "1"])));
  say("type", await refused(redis.incr("bucket")));
  say("script", await refused(redis.evalSha("da39a3ee", { keys: ["k"], arguments: ["1"] })));
  say("transaction", await refused(redis.multi().get("absent").exec()));
  say("subscribe", await refused(redis.subscribe("news", () => {})));
  say("after", await redis.incr("many"));
  await redis.quit();
}

main();
