<?php
// Asks by Predis, which is PHP alone.
require 'Predis/autoload.php';

function say(string $name, mixed $value): void
{
    echo $name, ' ', json_encode($value, JSON_UNESCAPED_SLASHES), "\n";
}

function refused(callable $call): string
{
    try {
        $call();
        return 'passed';
    } catch (Predis\Response\ServerException $e) {
        return preg_replace('/^ERR /', '', $e->getMessage());
    }
}

$ca = getenv('REDIS_CA');
$redis = new Predis\Client(array_filter([
    'scheme' => $ca ? 'tls' : 'tcp', 'ssl' => $ca ? ['cafile' => $ca] : null, 'host' => '127.0.0.1', 'port' => getenv('REDIS_PORT'),
    'password' => getenv('REDIS_PASSWORD') ?: null, 'database' => '0', 'timeout' => 10,
]));
try {
    say('ping', (string) $redis->ping());
    $redis->client('setname', 'shop');
} catch (Predis\PredisException $e) {
    say('connect', $e->getMessage());
    exit;
}
foreach ([1, 0, 2, 1, 2, 4] as $n) {
    say('bucket', $redis->executeRaw(['CL.THROTTLE', 'bucket', 2, 3, 60, $n]));
}
foreach ([1, 2, 3] as $i) {
    say('window', $redis->executeRaw(['INCREX', 'window', 'UBOUND', 2, 'EX', 60, 'ENX']));
}
[$one, $five, $expires, $left, $text] = [$redis->incr('n'), $redis->incrby('n', 4), $redis->expire('n', 60), $redis->ttl('n'), $redis->get('n')];
say('counter', [$one, $five, $expires === 1, $left > 30 && $left <= 60, $text]);
$once = fn () => $redis->set('once', 1, 'EX', 60, 'NX') !== null;
say('once', [$once(), $once(), $redis->get('absent')]);
[$six, $expires, $there, $gone] = $redis->pipeline(fn ($p) => [$p->incr('n'), $p->expire('n', 30), $p->exists('n', 'once', 'absent'), $p->del('n', 'once')]);
say('pipeline', [$six, $expires === 1, $there, $gone]);
say('many', $redis->pipeline(fn ($p) => array_map(fn () => $p->incr('many'), range(1, 200))) === range(1, 200));
say('client', [$redis->client('getname'), str_starts_with($redis->info()['redis_version'], '7')]);
say('database', refused(fn () => $redis->select(1)));
say('type', refused(fn () => $redis->incr('bucket')));
say('script', refused(fn () => $redis->evalsha('da39a3ee', 1, 'k', 1)));
say('transaction', refused(fn () => $redis->transaction(fn ($t) => $t->get('absent'))));
say('subscribe', preg_replace('/^ERR /', '', $redis->executeRaw(['SUBSCRIBE', 'news']))); // pubSubLoop does not expect an error
say('after', $redis->incr('many'));
