-- Jobs that bring rows from files and from other databases. Who holds the lease works on the job; a lease that ran out belongs to a dead
-- process, and the job goes on elsewhere from its position.
CREATE TABLE backfills (
  id text PRIMARY KEY,
  project text NOT NULL,
  request_id text NOT NULL,
  view text NOT NULL,
  source jsonb NOT NULL,
  destination text NOT NULL CHECK (destination IN ('both', 'online', 'offline')),
  rows_per_second integer NOT NULL,
  event_time_column text NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Written with the count of rows after they are stored: rows done, and for a query the last event time with the rows done at it.
  position jsonb NOT NULL DEFAULT '{"rows":0,"eventTimeUs":null,"tied":0}',
  rows_total bigint,
  rows_refused bigint NOT NULL DEFAULT 0,
  reason text NOT NULL DEFAULT '',
  -- Also the arrival of all its rows, so that a batch that is stored twice is one arrival.
  requested_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  lease_owner text,
  lease_until timestamptz,
  UNIQUE (project, request_id)
);
CREATE INDEX backfills_open ON backfills (requested_at) WHERE state IN ('queued', 'running');
