"""Makes merge-asof.json: seeded histories and entity frames, joined by pandas.merge_asof, the oracle of join.test.ts.

Run with pandas 2 or 3: python merge-asof.py > merge-asof.json. The file in the repository was made with the version that it names.
"""

import json
import random

import pandas as pd

random.seed(20_261_121)
DAY = 86_400_000
T0 = 1_451_606_400_000  # 2016-01-01
ARRIVED = 1_480_000_000_000
CARRIERS = ["a", "a|b", "a\\", "é"]
ORIGINS = ["b", "b|", "|x", "\\|"]
TTL = {"place": 3 * DAY, "fleet": 0}
KEYS = {"place": ["carrier", "origin"], "fleet": ["carrier"]}


def or_null(value, share=0.2):
    return None if random.random() < share else value


history = {"place": [], "fleet": []}
arrived = ARRIVED
counts = {}
for _ in range(700):
    view = random.choice(list(history))
    arrived += 2
    # Whole days, so that ties and ages of exactly the time to live are common; some rows arrive long after their time.
    row = {"carrier": random.choice(CARRIERS), "event": T0 + random.randrange(20) * DAY, "arrived": arrived}
    if view == "place":
        row |= {"origin": random.choice(ORIGINS), "wind": or_null(random.random()), "gate": or_null(random.choice("AB"))}
    else:
        row |= {"size": or_null(random.randrange(1000))}
    # Of a content that comes again the store keeps its first and last arrival, so a third one is left out: see the service's README.
    content = (view, *(value for name, value in row.items() if name != "arrived"))
    counts[content] = counts.get(content, 0) + 1
    if counts[content] < 3:
        history[view].append(row)

ZONES = ["Z", "+00:00", "+05:30", "-08:00"]
frame = []
for i in range(400):
    at = T0 + random.randrange(-1, 24) * DAY + random.choice([0, 0, 1, DAY - 1])
    zone = random.choice(ZONES)
    offset = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[4:]))
    local = pd.Timestamp(at + offset * 60_000, unit="ms")
    text = local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}" + zone
    frame.append({"row": i, "carrier": random.choice(CARRIERS), "origin": random.choice(ORIGINS), "at": at, "text": text})


def join(rows, view, known_by):
    """merge_asof wants one row for an instant: the newest arrival that is known."""
    right = pd.DataFrame(rows)
    if known_by is not None:
        right = right[right.arrived <= known_by]
    right = right.sort_values("arrived", kind="stable").drop_duplicates(KEYS[view] + ["event"], keep="last").sort_values("event", kind="stable")
    left = pd.DataFrame(frame).sort_values("at", kind="stable")
    tolerance = {"tolerance": TTL[view]} if TTL[view] else {}
    return pd.merge_asof(left, right, left_on="at", right_on="event", by=KEYS[view], **tolerance).set_index("row").sort_index()


def joined(known_by):
    place, fleet = join(history["place"], "place", known_by), join(history["fleet"], "fleet", known_by)
    null = lambda value: None if pd.isna(value) else value
    return [
        {"wind": null(place.wind[i]), "gate": null(place.gate[i]), "size": None if pd.isna(fleet["size"][i]) else int(fleet["size"][i])}
        for i in range(len(frame))
    ]


AS_OF = ARRIVED + 701
print(json.dumps({"pandas": pd.__version__, "history": history, "frame": frame, "asOf": AS_OF, "all": joined(None), "known": joined(AS_OF)}, ensure_ascii=False))
