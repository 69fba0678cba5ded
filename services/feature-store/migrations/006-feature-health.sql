-- Results of the inspection: how often what was served online is not what the offline store says.
CREATE TABLE view_consistency (
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  feature text NOT NULL,
  checked bigint NOT NULL DEFAULT 0,
  mismatched bigint NOT NULL DEFAULT 0,
  missing bigint NOT NULL DEFAULT 0,
  extra bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (view_id, feature)
);

-- The newest findings of each view; older ones are removed when new ones come.
CREATE TABLE consistency_findings (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  feature text NOT NULL,
  entity text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('mismatch', 'missing', 'extra')),
  served text NOT NULL,
  expected text NOT NULL,
  event_time timestamptz,
  found_at timestamptz NOT NULL
);
CREATE INDEX consistency_findings_view ON consistency_findings (view_id, id DESC);

-- Sampled entities by minute: how many, and how many of them were young enough.
CREATE TABLE freshness_minutes (
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  minute timestamptz NOT NULL,
  young bigint NOT NULL,
  sampled bigint NOT NULL,
  PRIMARY KEY (view_id, minute)
);

CREATE TABLE feature_alerts (
  alert_id text PRIMARY KEY,
  project text NOT NULL,
  view text NOT NULL,
  -- Empty = the view as a whole.
  feature text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('skew', 'freshness')),
  state text NOT NULL CHECK (state IN ('firing', 'resolved')),
  metric text NOT NULL,
  value double precision NOT NULL,
  threshold double precision NOT NULL,
  samples bigint NOT NULL,
  sentence text NOT NULL,
  event_id text NOT NULL,
  raised_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX feature_alerts_open ON feature_alerts (project, view, feature, kind) WHERE state = 'firing';
