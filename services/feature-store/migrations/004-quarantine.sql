-- Rows that were refused, of every door, one by one: to be looked at, and to be replayed once the definition or the row is mended.
CREATE TABLE quarantined_rows (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  view text NOT NULL,
  -- Where it came from, and its place there: a Kafka record, a push or a backfill. The same row refused again is the same entry.
  origin text NOT NULL,
  position bigint NOT NULL,
  code text NOT NULL,
  feature text NOT NULL,
  reason text NOT NULL,
  -- The row in the JSON of the topic, as it came. Text and not jsonb, which cannot hold every JSON text.
  content text NOT NULL,
  -- Microseconds. A replayed row keeps its arrival, so that it does not overtake what came after it.
  arrived_us bigint NOT NULL,
  quarantined_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (project, view, origin, position)
);
CREATE INDEX quarantined_rows_newest ON quarantined_rows (project, view, id DESC);
