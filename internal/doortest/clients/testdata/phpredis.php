<?php
// Asks by phpredis, the extension, which answers false where others have an error, and keeps its text.
function say(string $name, mixed $value): void
{
    echo $name, ' ', json_encode($value, JSON_UNESCAPED_SLASHES), "\n";
}

$redis = new Redis();

function refused(mixed $answer): string
{
    global $redis;
    return $answer === false ? preg_replace('/^ERR /', '', rtrim($redis->getLastError(), "\0")) : 'passed';
}

try {
    $ca = getenv('REDIS_CA');
    $redis->connect(($ca ? 'tls://' : '') . '127.0.0.1', (int) getenv('REDIS_PORT'), 10, null, 0, 0, $ca ? ['stream' => ['cafile' => $ca]] : []);
    if ($password = getenv('REDIS_PASSWORD')) {
        $redis->auth($password);
    }
    $redis->select(0) && $redis->client('setname', 'shop');
    $pong = $redis->ping();
    $redis->getLastError() === null || throw new RedisException($redis->getLastError());
    say('ping', $pong === true ? 'PONG' : $pong);
} catch (RedisException $e) {
    say('connect', rtrim($e->getMessage(), "\0"));
    exit;
}
foreach ([1, 0, 2, 1, 2, 4] as $n) {
    say('bucket', $redis->rawCommand('CL.THROTTLE', 'bucket', 2, 3, 60, $n));
}
foreach ([1, 2, 3] as $i) {
    say('window', $redis->rawCommand('INCREX', 'window', 'UBOUND', 2, 'EX', 60, 'ENX'));
}
[$one, $five, $expires, $left, $text] = [$redis->incr('n'), $redis->incrBy('n', 4), $redis->expire('n', 60), $redis->ttl('n'), $redis->get('n')];
say('counter', [$one, $five, $expires, $left > 30 && $left <= 60, $text]);
$once = fn () => $redis->set('once', 1, ['nx', 'ex' => 60]);
say('once', [$once(), $once(), $redis->get('absent') === false ? null : 'there']);
say('pipeline', $redis->pipeline()->incr('n')->expire('n', 30)->exists('n', 'once', 'absent')->del('n', 'once')->exec());
$redis->multi(Redis::PIPELINE);
for ($i = 0; $i < 200; $i++) {
    $redis->incr('many');
}
say('many', $redis->exec() === range(1, 200));
say('client', [$redis->client('getname'), str_starts_with($redis->info()['redis_version'], '7')]);
say('database', refused($redis->select(1)));
say('type', refused($redis->incr('bucket')));
say('script', refused($redis->evalSha('da39a3ee', ['k', 1], 1)));
say('transaction', refused($redis->multi()));
say('subscribe', refused($redis->rawCommand('SUBSCRIBE', 'news')));
say('after', $redis->incr('many'));
