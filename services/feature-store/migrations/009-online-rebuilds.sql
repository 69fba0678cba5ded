-- The newest rebuild of each view's online part. Who holds the lease works on it; a lease that ran out belongs to a dead process, and the rebuild
-- goes on elsewhere behind its last entity.
CREATE TABLE online_rebuilds (
  view_id integer PRIMARY KEY REFERENCES views ON DELETE CASCADE,
  state text NOT NULL CHECK (state IN ('running', 'done')),
  -- What is being written: the newest rows, then the windows.
  phase text NOT NULL CHECK (phase IN ('rows', 'windows')),
  -- Layout that it writes, and the run of Redis that it writes into: with another one it begins anew.
  fingerprint bigint NOT NULL,
  redis_run text NOT NULL,
  -- The last entity that is written in the phase; empty = none yet, or done, which names nobody.
  after_entity text COLLATE "C" NOT NULL,
  entities bigint NOT NULL,
  entities_total bigint NOT NULL,
  -- Of work, over all processes.
  seconds double precision NOT NULL,
  owner text NOT NULL,
  lease_until timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz
);
