-- How often views and feature services were read, by day: online reads are added up in memory first, training sets are counted in the
-- transaction that records them.
CREATE TABLE feature_usage (
  project text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('view', 'service')),
  name text NOT NULL,
  day date NOT NULL,
  online_reads bigint NOT NULL DEFAULT 0,
  online_entities bigint NOT NULL DEFAULT 0,
  training_sets bigint NOT NULL DEFAULT 0,
  training_rows bigint NOT NULL DEFAULT 0,
  last_read_at timestamptz NOT NULL,
  PRIMARY KEY (project, kind, name, day)
);
