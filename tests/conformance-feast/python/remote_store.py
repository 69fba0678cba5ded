"""The `feast` SDK, unmodified, as a user of a remote online store: python remote_store.py FOLDER, with feature_store.yaml in it. Prints what it saw as JSON."""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float32, Float64, Int64, String, UnixTimestamp

FOLDER = Path(sys.argv[1])
NOW = datetime.now(timezone.utc).replace(microsecond=250_000)
PROFILE = {"age": Int64, "amount": Float64, "city": String, "member": Bool, "seen": UnixTimestamp, "taste": Array(Float32)}

store = FeatureStore(repo_path=str(FOLDER))


def view(name: str, entities: list[Entity], fields: dict, ttl: timedelta) -> FeatureView:
    batch = FileSource(path=str(FOLDER / f"{name}.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=field, dtype=dtype) for field, dtype in fields.items()]
    return FeatureView(name=name, entities=entities, ttl=ttl, schema=schema, source=PushSource(name=name, batch_source=batch))


person = Entity(name="person", join_keys=["person_id"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)
profile = view("profile", [person], PROFILE, timedelta(days=30))
visits = view("visits", [person], {"count": Int64}, timedelta(days=10))
sales = view("sales", [shop], {"total": Float64}, timedelta(0))
scoring = FeatureService(name="scoring", features=[profile[["age", "amount"]], visits])
store.apply([person, shop, profile, visits, sales, scoring])


def frame(rows: list[dict]) -> pd.DataFrame:
    """Nullable types, as a user who has nulls writes them."""
    types = {"age": "Int64", "count": "Int64", "shop_id": "int64"}
    df = pd.DataFrame(rows)
    return df.astype({name: dtype for name, dtype in types.items() if name in df})


def row(key: str, days: float, **values) -> dict:
    return {"person_id": key, "event_timestamp": pd.Timestamp(NOW - timedelta(days=days)), **values}


def full(key: str, days: float, age, amount, city, member, seen, taste) -> dict:
    return row(key, days, age=age, amount=amount, city=city, member=member, seen=seen, taste=taste)


SEEN = pd.Timestamp("2026-01-02T03:04:05Z")
# Both ways of writing: push through a push source, and a frame for a view.
store.push(
    "profile",
    frame(
        [
            full("p1", 1, 41, 1.5, "Łódź", True, SEEN, [0.5, 1.0]),
            full("p2", 2, 7, 2.0, "", False, SEEN, [0.25, -3.0]),
            full("p3", 3, None, None, None, None, pd.NaT, None),
            full("old", 40, 99, 9.0, "x", True, SEEN, [1.0, 1.0]),
        ]
    ),
    to=PushMode.ONLINE,
)
store.write_to_online_store("visits", frame([row("p1", 1, count=3), row("p2", 12, count=8)]))
store.write_to_online_store("sales", frame([{"shop_id": n, "event_timestamp": pd.Timestamp(NOW), "total": n + 0.5} for n in (1, 2)]))
# An older row comes late, and the same row once more: neither changes anything.
store.push("profile", frame([full("p1", 5, 1, 0.0, "late", False, SEEN, [9.0, 9.0])]), to=PushMode.ONLINE)
store.write_to_online_store("visits", frame([row("p1", 1, count=3)]))


def answer(features, entity_rows: list[dict]) -> dict:
    response = store.get_online_features(features=features, entity_rows=entity_rows)
    names = response.proto.metadata.feature_names.val
    columns = zip(names, response.proto.results)
    statuses = {name: [FieldStatus.Name(status) for status in column.statuses] for name, column in columns}
    values = response.to_dict()
    types = {name: [type(value).__name__ for value in column] for name, column in values.items()}
    return {"values": values, "statuses": statuses, "types": types}


def refusal(df: pd.DataFrame) -> str:
    try:
        store.write_to_online_store("profile", df)
    except RuntimeError as error:
        return str(error)
    return ""


def rows_of(table: FeatureView, key: Value, join_key: str, features: list[str]) -> dict:
    """Below the SDK's own surface, where it has event times."""
    keys = [EntityKey(join_keys=[join_key], entity_values=[key])]
    [(event_time, values)] = store._get_provider().online_read(store.config, table, keys, features)
    return {"time": event_time.isoformat(), "seen": [value.unix_timestamp_val for name, value in values.items() if name == "seen"]}


people = [{"person_id": key} for key in ("p1", "p2", "p3", "old", "nobody")]
report = {
    "named": answer([f"profile:{name}" for name in PROFILE] + ["visits:count"], people),
    "service": answer(store.get_feature_service("scoring"), people),
    "integers": answer(["sales:total"], [{"shop_id": 1}, {"shop_id": 3}, {"shop_id": 2}]),
    "times": rows_of(profile, Value(string_val="p1"), "person_id", ["age", "seen"]),
    "refusal": refusal(frame([full("p4", 1, 500, 1.0, "x", True, SEEN, [0.0, 0.0]), full("p5", 1, 5, 1.0, "x", True, SEEN, [0.0, 0.0])])),
}
print(json.dumps(report))
