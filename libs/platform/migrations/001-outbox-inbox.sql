-- Events that follow from a write, waiting for the relay. Rows are deleted once the brokers acknowledged them.
CREATE TABLE platform_outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic      text        NOT NULL,
  key        text        NOT NULL,
  value      bytea       NOT NULL,
  headers    jsonb       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Why the broker will never take this row (too large); it stays for a person and no longer blocks the rest.
  refused    text
);
CREATE INDEX platform_outbox_waiting ON platform_outbox (id) WHERE refused IS NULL;

-- Which events a consumer has handled; the row commits together with the effect.
CREATE TABLE platform_inbox (
  consumer   text        NOT NULL,
  event_id   text        NOT NULL,
  claimed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, event_id)
);
CREATE INDEX platform_inbox_claimed_at ON platform_inbox (claimed_at);
