-- Entities that were erased, by whose wish and what it did. The keys themselves stay only until the erasure is done.
CREATE TABLE erasures (
  id text PRIMARY KEY,
  project text NOT NULL,
  request_id text NOT NULL,
  entity text NOT NULL,
  key_names text[] NOT NULL,
  key_values text[],
  key_hash text NOT NULL,
  asked_by text NOT NULL,
  reason text NOT NULL,
  state text NOT NULL CHECK (state IN ('running', 'done')),
  -- Event times up to it do not come back.
  until_ms bigint NOT NULL,
  quarantined bigint NOT NULL DEFAULT 0,
  findings bigint NOT NULL DEFAULT 0,
  snapshots jsonb NOT NULL DEFAULT '[]',
  requested_at timestamptz NOT NULL DEFAULT now(),
  touched_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  UNIQUE (project, request_id)
);
CREATE INDEX erasures_running ON erasures (touched_at) WHERE state = 'running';

CREATE TABLE erasure_views (
  erasure_id text NOT NULL REFERENCES erasures ON DELETE CASCADE,
  view text NOT NULL,
  rows bigint NOT NULL DEFAULT 0,
  quality_windows bigint NOT NULL DEFAULT 0,
  -- Joined keys of the view's entities, until the erasure is done.
  entity_keys text[],
  entities bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (erasure_id, view)
);

-- What keeps a late row of an erased entity out, for ever. Names are sorted; the hash takes the secret.
CREATE TABLE erasure_tombstones (
  project text NOT NULL,
  key_names text[] NOT NULL,
  key_hash text NOT NULL,
  until_ms bigint NOT NULL,
  PRIMARY KEY (project, key_names, key_hash)
);

-- The epoch grows with every erasure: who stores rows has looked at the tombstones of the epoch in which he commits.
CREATE TABLE erasure_state (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  epoch bigint NOT NULL,
  secret text NOT NULL
);
INSERT INTO erasure_state (epoch, secret) VALUES (1, gen_random_uuid()::text || gen_random_uuid()::text);
