CREATE TABLE runs (
  project        text        NOT NULL,
  run_id         text        NOT NULL,
  model          text        NOT NULL,
  state          text        NOT NULL CHECK (state IN ('queued', 'admitted', 'running', 'succeeded', 'failed', 'killed', 'cancelled')),
  reason         text        NOT NULL,
  request_id     text        NOT NULL,
  alert_id       text        NOT NULL,
  mitigation     jsonb,
  -- Step in progress, or the last one.
  step           text        NOT NULL DEFAULT '',
  failure_code   text        NOT NULL DEFAULT '',
  failure        text        NOT NULL DEFAULT '',
  -- Registered version; 0 = none.
  version        integer     NOT NULL DEFAULT 0,
  attempt        integer     NOT NULL DEFAULT 0,
  metrics        jsonb,
  queued_at      timestamptz NOT NULL DEFAULT now(),
  started_at     timestamptz,
  finished_at    timestamptz,
  -- A repeated attempt waits until then.
  not_before     timestamptz NOT NULL DEFAULT now(),
  -- Who works on it, and until when nobody else may.
  lease_owner    text,
  lease_until    timestamptz,
  -- The training process of the last attempt, so that the next one can end a survivor.
  child_host     text,
  child_pid      integer,
  correlation_id text        NOT NULL,
  causation_id   text        NOT NULL,
  traceparent    text        NOT NULL,
  PRIMARY KEY (project, run_id),
  -- A request makes one run, however often it comes.
  UNIQUE (project, request_id)
);
CREATE INDEX runs_waiting ON runs (queued_at) WHERE state = 'queued';
CREATE INDEX runs_leased ON runs (lease_until) WHERE state IN ('admitted', 'running');
CREATE INDEX runs_of_model ON runs (project, model, queued_at);
-- One at a time for each model; the others wait behind it.
CREATE UNIQUE INDEX runs_one_active ON runs (project, model) WHERE state IN ('admitted', 'running');

-- What the worker processes offer. They serve every project.
CREATE TABLE workers (
  worker_id    text        PRIMARY KEY,
  host         text        NOT NULL,
  pid          integer     NOT NULL,
  cpus         integer     NOT NULL,
  memory_bytes bigint      NOT NULL,
  gpus         jsonb       NOT NULL,
  -- Run in hand; empty = idle.
  run_id       text        NOT NULL DEFAULT '',
  started_at   timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now()
);
