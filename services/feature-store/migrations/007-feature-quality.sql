-- Statistics of each window of a view, as domain/quality-statistics.ts writes them.
CREATE TABLE quality_windows (
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  -- Which time counts and the length of the windows: those of an older definition are no longer read.
  shape text NOT NULL,
  start_ms bigint NOT NULL,
  rows bigint NOT NULL,
  statistics json NOT NULL,
  PRIMARY KEY (view_id, shape, start_ms)
);

-- What the transactions that stored rows have added since: they write no common row and so never wait for each other. Folded into the
-- windows by whoever looks next.
CREATE TABLE quality_deltas (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  shape text NOT NULL,
  start_ms bigint NOT NULL,
  statistics json NOT NULL
);
CREATE INDEX quality_deltas_view ON quality_deltas (view_id, id);

ALTER TABLE feature_alerts DROP CONSTRAINT feature_alerts_kind_check;
ALTER TABLE feature_alerts ADD CONSTRAINT feature_alerts_kind_check CHECK (kind IN ('skew', 'freshness', 'quality'));
