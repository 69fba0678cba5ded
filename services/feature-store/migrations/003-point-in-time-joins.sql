-- Jobs that join an entity frame with views. The lease lets another process take over what a dead one had begun.
CREATE TABLE point_in_time_joins (
  id text PRIMARY KEY,
  project text NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  request jsonb NOT NULL,
  -- File of the frame, named by the hash of its bytes.
  frame text NOT NULL,
  rows bigint NOT NULL DEFAULT 0,
  rows_read bigint NOT NULL DEFAULT 0,
  rows_written bigint NOT NULL DEFAULT 0,
  training_set text NOT NULL DEFAULT '',
  error_code text NOT NULL DEFAULT '',
  error text NOT NULL DEFAULT '',
  attempts integer NOT NULL DEFAULT 0,
  cancel_requested boolean NOT NULL DEFAULT false,
  lease_owner text NOT NULL DEFAULT '',
  lease_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
CREATE INDEX point_in_time_joins_waiting ON point_in_time_joins (created_at) WHERE state IN ('queued', 'running');
CREATE INDEX point_in_time_joins_project ON point_in_time_joins (project, created_at DESC);
