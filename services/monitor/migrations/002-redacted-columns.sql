-- `<redaction> <column>` -> predictions of the pane whose value the prediction log kept to itself.
ALTER TABLE pane ADD COLUMN redacted jsonb NOT NULL DEFAULT '{}';
