-- Definitions as they were applied: immutable, one row a version. Rows of a view lie in view_rows_<views.id>, made when the view is.
CREATE TABLE definitions (
  project text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('Entity', 'FeatureView')),
  name text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  content_hash text NOT NULL,
  spec jsonb NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, kind, name, version)
);

CREATE TABLE views (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  name text NOT NULL,
  partition_months integer NOT NULL DEFAULT 12 CHECK (partition_months BETWEEN 1 AND 120),
  -- Layout that every online blob of the view is known to have; another one, or null, asks for a rebuild.
  online_fingerprint bigint,
  UNIQUE (project, name)
);

-- Exact row counts without counting: written in the transaction that writes the rows, in several shards so that writers of one view
-- do not wait for each other.
CREATE TABLE view_row_counts (
  view_id integer NOT NULL REFERENCES views ON DELETE CASCADE,
  shard integer NOT NULL,
  rows bigint NOT NULL,
  PRIMARY KEY (view_id, shard)
);

-- Grows with every change of the catalogue: one cheap look tells a process whether what it holds in memory still stands.
CREATE TABLE catalogue_epoch (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  epoch bigint NOT NULL
);
INSERT INTO catalogue_epoch (epoch) VALUES (1);

CREATE TABLE training_sets (
  project text NOT NULL,
  -- sha256 of the Parquet bytes.
  hash text NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  columns jsonb NOT NULL,
  query text NOT NULL,
  view_hashes jsonb NOT NULL,
  request jsonb NOT NULL,
  built_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, hash)
);
