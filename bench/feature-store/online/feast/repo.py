"""Feast's side of the bench: python repo.py FOLDER REDIS ENTITIES FEATURES REQUESTS SIZE... makes a repository in FOLDER, writes the rows
into REDIS (host:port,db=n) through the SDK, checks a read, and saves requests of each SIZE as FOLDER/feast-SIZE.bin (length and message)."""

import random
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
from feast.types import Float64

folder, redis = Path(sys.argv[1]), sys.argv[2]
entities, features, requests, *sizes = map(int, sys.argv[3:])
names = [f"f{i}" for i in range(features)]
ROWS_PER_WRITE = 5_000

(folder / "feature_store.yaml").write_text(
    f"""project: bench
provider: local
registry: {folder}/registry.db
entity_key_serialization_version: 3
online_store: {{ type: redis, connection_string: '{redis}' }}
offline_store: {{ type: file }}
"""
)
store = FeatureStore(repo_path=str(folder))
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
source = PushSource(name="push", batch_source=FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp"))
schema = [Field(name=name, dtype=Float64) for name in names]
view = FeatureView(name="fv50", entities=[driver], ttl=timedelta(days=3650), schema=schema, source=source)
store.apply([driver, view])

rng = np.random.default_rng(7)
now = pd.Timestamp(datetime.now(timezone.utc))
for first in range(0, entities, ROWS_PER_WRITE):
    ids = np.arange(first, min(first + ROWS_PER_WRITE, entities), dtype=np.int64)
    columns = {name: rng.random(len(ids)) * 1000 for name in names}
    store.write_to_online_store("fv50", pd.DataFrame({"driver_id": ids, "event_timestamp": now, **columns}))

wanted = [f"fv50:{name}" for name in names]
read = store.get_online_features(features=wanted, entity_rows=[{"driver_id": i} for i in range(0, entities, entities // 100)]).to_dict()
assert all(value is not None for name in names for value in read[name]), "not every value is there"

random.seed(7)
for size in sizes:
    with open(folder / f"feast-{size}.bin", "wb") as file:
        for _ in range(requests):
            request = GetOnlineFeaturesRequest()
            request.features.val.extend(wanted)
            for _ in range(size):
                request.entities["driver_id"].val.add().int64_val = random.randrange(entities)
            body = request.SerializeToString()
            file.write(struct.pack("<I", len(body)) + body)
