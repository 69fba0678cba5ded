"""Load of tritonclient on the model of the swap drill, until stdin ends: gRPC, a stream, and HTTP with binary tensors, a connection each.

Every answer is checked against the formula of the version that it names (services/serving/test/swap-drill.ts). The last line counts how the
requests ended: "OK by" or "MIXED by" the door, or the error of the client.
"""

import collections
import json
import queue
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from conftest import GRPC_ADDRESS, HTTP_ADDRESS

MODEL = "drill"
# A new connection now and then, so that both processes always have some.
CALLS_OF_A_CONNECTION = 100
PAUSE_S = 0.002
ANSWER_WITHIN_S = 20

counts = collections.Counter()
counting = threading.Lock()
stopped = threading.Event()


def rows_of(i):
    return np.array([[i % 7 - 3, row, i % 5 - 2] for row in range(1 + i % 3)], np.float32)


def expected(rows, version):
    bias = np.float32((version % 10) * 0.3 - 1.5)
    return 1 / (1 + np.exp(-(rows @ np.array([0.5, -0.25, 1.0]) + bias)))


def count(end):
    with counting:
        counts[end] += 1


def check(door, rows, version, probabilities):
    is_own = probabilities.shape == (len(rows), 2) and np.abs(probabilities[:, 1] - expected(rows, int(version))).max() < 1e-5
    count(f"OK by {door}" if is_own else f"MIXED by {door}")


def inputs(library, rows):
    tensor = library.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def by_grpc(i):
    with triton_grpc.InferenceServerClient(GRPC_ADDRESS) as client:
        for i in range(i, i + CALLS_OF_A_CONNECTION):
            if stopped.is_set():
                return
            rows = rows_of(i)
            answer = client.infer(MODEL, inputs(triton_grpc, rows), client_timeout=ANSWER_WITHIN_S)
            check("gRPC", rows, answer.get_response().model_version, answer.as_numpy("probabilities"))
            time.sleep(PAUSE_S)


def by_stream(i):
    answers = queue.Queue()
    with triton_grpc.InferenceServerClient(GRPC_ADDRESS) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for i in range(i, i + CALLS_OF_A_CONNECTION):
            if stopped.is_set():
                return
            rows = rows_of(i)
            client.async_stream_infer(MODEL, inputs(triton_grpc, rows))
            answer, error = answers.get(timeout=ANSWER_WITHIN_S)
            if error is not None:
                raise error
            check("stream", rows, answer.get_response().model_version, answer.as_numpy("probabilities"))
            time.sleep(PAUSE_S)


def by_http(i):
    client = triton_http.InferenceServerClient(HTTP_ADDRESS, network_timeout=ANSWER_WITHIN_S)
    try:
        for i in range(i, i + CALLS_OF_A_CONNECTION):
            if stopped.is_set():
                return
            rows = rows_of(i)
            answer = client.infer(MODEL, inputs(triton_http, rows))
            check("HTTP", rows, answer.get_response()["model_version"], answer.as_numpy("probabilities"))
            time.sleep(PAUSE_S)
    finally:
        client.close()


def caller(connection):
    i = 0
    while not stopped.is_set():
        try:
            connection(i)
        except Exception as error:  # every end of a call is counted, and the next connection goes on
            count(f"{connection.__name__}: {type(error).__name__}: {error}"[:200])
            time.sleep(0.05)
        i += CALLS_OF_A_CONNECTION


threads = [threading.Thread(target=caller, args=(connection,)) for connection in (by_grpc, by_stream, by_http)]
for thread in threads:
    thread.start()
sys.stdin.read()
stopped.set()
for thread in threads:
    thread.join(timeout=2 * ANSWER_WITHIN_S)
print(json.dumps(counts))
