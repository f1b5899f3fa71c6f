# Asks by gRPC's own library: call by call, in a batch, and over a stream whose calls wait for answers before.
import os
import queue

import grpc
import limit_pb2
import limit_pb2_grpc

channel = grpc.insecure_channel(os.environ["GRPC_ADDR"])
limiter = limit_pb2_grpc.LimiterStub(channel)


def ask(key, limit="5/h", cost=1):
    return limit_pb2.TakeRequest(key=key, limit=limit, cost=cost)


first = limiter.Take(ask("k", cost=3), timeout=10)
print("take", first.allowed, first.remaining, first.limit)
batch = limit_pb2.TakeBatchRequest(requests=[ask("k", cost=2), ask("k"), ask("k", "no limit"), ask("other", cost=0)])
for answer in limiter.TakeBatch(batch, timeout=10).answers:
    print("batch", answer.decision.allowed, answer.decision.remaining, answer.error.code)
for call in ({"request": ask("k", "5/hour burst")}, {"request": ask("k"), "compression": grpc.Compression.Gzip}):
    try:
        limiter.Take(timeout=10, **call)
    except grpc.RpcError as e:
        print("error", e.code().name, bool(e.details()))

calls = queue.Queue()
stream = limiter.TakeStream(iter(calls.get, None), timeout=30)
for n in range(1, 8):  # each waits for the one before
    calls.put(limit_pb2.StreamRequest(id=n, request=ask("turns")))
    answer = next(stream)
    print("turn", answer.id == n, answer.answer.decision.allowed, answer.answer.decision.remaining)
many = range(100, 1100)
for n in many:  # none does
    calls.put(limit_pb2.StreamRequest(id=n, request=ask("many", "300/w algorithm=fixed_window")))
answers = {a.id: a.answer.decision.allowed for a in (next(stream) for _ in many)}
calls.put(None)
print("many", sorted(answers) == list(many), sum(answers.values()), len(list(stream)))
