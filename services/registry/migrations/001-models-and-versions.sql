-- One row a model; its lock is what makes version numbers run without gaps or doubles.
CREATE TABLE models (
  project            text        NOT NULL,
  name               text        NOT NULL,
  definition_version integer     NOT NULL,
  last_version       integer     NOT NULL DEFAULT 0,
  created_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, name)
);

-- Every definition that was ever applied, immutable.
CREATE TABLE model_definitions (
  project      text        NOT NULL,
  model        text        NOT NULL,
  version      integer     NOT NULL,
  content_hash text        NOT NULL,
  spec         jsonb       NOT NULL,
  applied_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, model, version),
  FOREIGN KEY (project, model) REFERENCES models (project, name)
);

CREATE TABLE versions (
  project         text        NOT NULL,
  model           text        NOT NULL,
  version         integer     NOT NULL,
  state           text        NOT NULL CHECK (state IN ('registered', 'evaluated', 'blessed', 'rejected', 'shadow', 'canary', 'champion', 'archived')),
  run_id          text        NOT NULL,
  artifact_sha256 text        NOT NULL,
  signature       jsonb       NOT NULL,
  evaluation      jsonb       NOT NULL,
  baseline        jsonb       NOT NULL,
  golden          jsonb       NOT NULL,
  lineage         jsonb       NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, model, version),
  -- A run registers once, however often it asks.
  UNIQUE (project, run_id),
  FOREIGN KEY (project, model) REFERENCES models (project, name)
);
CREATE UNIQUE INDEX versions_one_champion ON versions (project, model) WHERE state = 'champion';

-- The judgements, with every gate. Append-only.
CREATE TABLE blessings (
  project          text        NOT NULL,
  model            text        NOT NULL,
  version          integer     NOT NULL,
  blessed          boolean     NOT NULL,
  gates            jsonb       NOT NULL,
  champion_version integer     NOT NULL,
  judged_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, model, version),
  FOREIGN KEY (project, model, version) REFERENCES versions (project, model, version)
);

CREATE TABLE aliases (
  project text        NOT NULL,
  model   text        NOT NULL,
  alias   text        NOT NULL,
  version integer     NOT NULL,
  set_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, model, alias),
  FOREIGN KEY (project, model, version) REFERENCES versions (project, model, version)
);

CREATE TABLE alias_history (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project          text        NOT NULL,
  model            text        NOT NULL,
  alias            text        NOT NULL,
  previous_version integer     NOT NULL,
  version          integer     NOT NULL,
  reason           text        NOT NULL,
  actor            text        NOT NULL,
  set_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alias_history_of_model ON alias_history (project, model, id);

-- Who did what, with the state before and after. Append-only.
CREATE TABLE audit (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text        NOT NULL,
  at      timestamptz NOT NULL DEFAULT now(),
  actor   text        NOT NULL,
  action  text        NOT NULL,
  subject text        NOT NULL,
  before  jsonb,
  after   jsonb
);
CREATE INDEX audit_of_subject ON audit (project, subject, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER blessings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON blessings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER definitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_definitions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alias_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alias_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
