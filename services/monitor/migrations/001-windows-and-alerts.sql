-- What the registry says of a model: its policy, and which version takes the traffic. Refreshed on model events.
CREATE TABLE model (
  project            text   NOT NULL,
  model              text   NOT NULL,
  definition_version int    NOT NULL,
  spec               jsonb  NOT NULL,
  champion_version   int    NOT NULL,
  -- Last version that serving said it swapped in; 0 = it said nothing yet.
  serving_version    int    NOT NULL DEFAULT 0,
  refreshed_ms       bigint NOT NULL,
  PRIMARY KEY (project, model)
);

-- A trained version never changes, so its reference profile is fetched once.
CREATE TABLE version (
  id              int    GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project         text   NOT NULL,
  model           text   NOT NULL,
  version         int    NOT NULL,
  -- Protected attributes, in the order of prediction.groups.
  attributes      text[] NOT NULL,
  baseline        jsonb  NOT NULL,
  -- What the last judgement saw of each window (newest pane and count): equal = nothing new.
  traffic_marker  text   NOT NULL DEFAULT '',
  labelled_marker text   NOT NULL DEFAULT '',
  UNIQUE (project, model, version)
);

-- One row a logged prediction. The key makes ingestion idempotent: a row that is here was counted, and only then.
CREATE TABLE prediction (
  project           text     NOT NULL,
  prediction_id     text     NOT NULL,
  version_id        int      NOT NULL,
  pane_start_ms     bigint   NOT NULL,
  predicted_ms      bigint   NOT NULL,
  score             real     NOT NULL,
  selected          boolean  NOT NULL,
  -- Values of the version's protected attributes joined by U+001F.
  groups            text     NOT NULL,
  entity            text     NOT NULL,
  label             smallint,
  label_observed_ms bigint,
  PRIMARY KEY (project, prediction_id)
  -- Half-empty pages let the label be written beside its row, without touching the index (HOT).
) WITH (fillfactor = 60);
CREATE INDEX prediction_time ON prediction USING brin (predicted_ms) WITH (pages_per_range = 32);

-- Labels whose prediction has not come yet: the two topics have no common order.
CREATE TABLE pending_outcome (
  project       text     NOT NULL,
  prediction_id text     NOT NULL,
  label         smallint NOT NULL,
  observed_ms   bigint   NOT NULL,
  received_ms   bigint   NOT NULL,
  PRIMARY KEY (project, prediction_id)
);
CREATE INDEX pending_outcome_received ON pending_outcome (received_ms);

-- Log batches of versions that the registry could not describe yet; folded as soon as it can.
CREATE TABLE parked_batch (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project      text   NOT NULL,
  event_id     text   NOT NULL,
  model        text   NOT NULL,
  version      int    NOT NULL,
  -- The record as it lay on Kafka, so that it can still be dead-lettered whole.
  topic        text   NOT NULL,
  partition    int    NOT NULL,
  record_offset text  NOT NULL,
  key          text   NOT NULL,
  headers      jsonb  NOT NULL,
  value        bytea  NOT NULL,
  timestamp_ms bigint NOT NULL,
  parked_ms    bigint NOT NULL,
  UNIQUE (project, event_id)
);

-- Sketches of all columns over one pane of event time.
CREATE TABLE pane (
  version_id    int    NOT NULL,
  pane_start_ms bigint NOT NULL,
  project       text   NOT NULL,
  predictions   bigint NOT NULL,
  sketches      jsonb  NOT NULL,
  PRIMARY KEY (version_id, pane_start_ms)
) WITH (fillfactor = 60);
CREATE INDEX pane_time ON pane (pane_start_ms);

-- Confusion counts of each group over one pane. attribute '' (group '') = all rows.
CREATE TABLE pane_group (
  version_id           int    NOT NULL,
  attribute            text   NOT NULL,
  group_value          text   NOT NULL,
  pane_start_ms        bigint NOT NULL,
  project              text   NOT NULL,
  tp                   bigint NOT NULL,
  fp                   bigint NOT NULL,
  tn                   bigint NOT NULL,
  fn                   bigint NOT NULL,
  unlabelled_selected  bigint NOT NULL,
  unlabelled_rejected  bigint NOT NULL,
  PRIMARY KEY (version_id, attribute, group_value, pane_start_ms)
) WITH (fillfactor = 60);
CREATE INDEX pane_group_time ON pane_group (pane_start_ms);

-- Verdicts of the last judgements of one subject, oldest first: b(reach), c(lean), u(nclear).
CREATE TABLE watch (
  version_id int  NOT NULL,
  kind       text NOT NULL,
  subject    text NOT NULL,
  project    text NOT NULL,
  history    text NOT NULL,
  PRIMARY KEY (version_id, kind, subject)
);

CREATE TABLE alert (
  project    text   NOT NULL,
  alert_id   text   NOT NULL,
  model      text   NOT NULL,
  version    int    NOT NULL,
  kind       text   NOT NULL,
  subject    text   NOT NULL,
  state      text   NOT NULL CHECK (state IN ('suspected', 'firing', 'acted', 'resolved', 'muted')),
  metric     text   NOT NULL,
  value      double precision NOT NULL,
  threshold  double precision NOT NULL,
  samples    bigint NOT NULL,
  sentence   text   NOT NULL,
  groups     jsonb  NOT NULL,
  examples   text[] NOT NULL,
  request_id text   NOT NULL DEFAULT '',
  -- Id of the last event about it: what the next one follows from.
  event_id   text   NOT NULL DEFAULT '',
  raised_ms  bigint NOT NULL,
  changed_ms bigint NOT NULL,
  PRIMARY KEY (project, alert_id)
);
-- One open alert a subject, whatever the version.
CREATE UNIQUE INDEX alert_open ON alert (project, model, kind, subject) WHERE state <> 'resolved';
CREATE INDEX alert_of_model ON alert (project, model, raised_ms DESC);

-- Trainings that were asked for, by us or by anyone, and how far they are.
CREATE TABLE retraining (
  project      text   NOT NULL,
  request_id   text   NOT NULL,
  model        text   NOT NULL,
  reason       text   NOT NULL,
  requested_ms bigint NOT NULL,
  run_id       text   NOT NULL DEFAULT '',
  -- '' until a run is heard of; then open | closed.
  run          text   NOT NULL DEFAULT '',
  PRIMARY KEY (project, request_id)
);
CREATE INDEX retraining_of_model ON retraining (project, model, requested_ms DESC);
