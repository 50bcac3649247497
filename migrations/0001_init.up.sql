CREATE TABLE teams (
  id text PRIMARY KEY CHECK (id ~ '^team-[0-9a-f]{8}$'),
  name text NOT NULL UNIQUE CHECK (name <> ''),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- A key itself is never stored: `hash` is its SHA-256, `prefix` the first letters that a list shows.
CREATE TABLE api_keys (
  id text PRIMARY KEY CHECK (id ~ '^key-[0-9a-f]{8}$'),
  team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  name text NOT NULL CHECK (name <> ''),
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  prefix text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  revoked_at timestamptz
);

CREATE INDEX api_keys_team ON api_keys (team_id);

CREATE TABLE hosts (
  id text PRIMARY KEY CHECK (id ~ '^host-[0-9a-f]{8}$'),
  address text NOT NULL,
  status text NOT NULL CHECK (status IN ('online', 'offline')),
  cpus integer NOT NULL CHECK (cpus > 0),
  memory_mb bigint NOT NULL CHECK (memory_mb > 0),
  accelerator text NOT NULL,
  vmm text NOT NULL,
  version text NOT NULL,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now()
);

-- Rows stay when a sandbox ends. Its environment is not stored: it may hold secrets.
CREATE TABLE sandboxes (
  id text PRIMARY KEY CHECK (id ~ '^sb-[0-9a-f]{8}$'),
  team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'starting', 'running', 'paused', 'hibernated', 'stopped', 'error')),
  -- Counts changes of `status`: an update says which version it has seen, so that one of several wins.
  version integer NOT NULL DEFAULT 1,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Why `status` is what it is; copied into the history.
  reason text NOT NULL DEFAULT '',
  template text NOT NULL CHECK (template <> ''),
  vcpus integer NOT NULL CHECK (vcpus > 0),
  memory_mb integer NOT NULL CHECK (memory_mb > 0),
  disk_mb integer NOT NULL CHECK (disk_mb >= 0),
  timeout_sec integer NOT NULL CHECK (timeout_sec >= 0),
  on_timeout text NOT NULL CHECK (on_timeout IN ('destroy', 'pause')),
  metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
  network jsonb NOT NULL CHECK (jsonb_typeof(network) = 'object'),
  host_id text NOT NULL REFERENCES hosts (id),
  host_ip text,
  execution_id text NOT NULL CHECK (execution_id ~ '^[0-9a-f]{16}$'),
  -- Repeating a create with the same key gives the same sandbox; `request_hash` tells the same request apart.
  idempotency_key text,
  request_hash bytea,
  -- Somebody asked for its end: the reconciler finishes what the request could not.
  stop_requested_at timestamptz,
  error_code text,
  error_message text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  last_active_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  stopped_at timestamptz,
  CHECK ((status IN ('stopped', 'error')) = (stopped_at IS NOT NULL)),
  CHECK (status NOT IN ('running', 'paused', 'hibernated') OR started_at IS NOT NULL),
  CHECK ((error_code IS NULL) = (error_message IS NULL)),
  CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);

-- Pages of a team's list: newest first, continued after (created_at, id).
CREATE INDEX sandboxes_team_created ON sandboxes (team_id, created_at DESC, id DESC);
CREATE INDEX sandboxes_metadata ON sandboxes USING gin (metadata jsonb_path_ops);
-- What the reconciler reads, every time.
CREATE INDEX sandboxes_host_live ON sandboxes (host_id) WHERE status <> 'stopped';
CREATE UNIQUE INDEX sandboxes_idempotency ON sandboxes (team_id, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

-- Every change of every sandbox's state, in order. Nothing updates or deletes here.
CREATE TABLE sandbox_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sandbox_id text NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  from_status text,
  to_status text NOT NULL,
  reason text NOT NULL
);

CREATE INDEX sandbox_events_sandbox ON sandbox_events (sandbox_id, id);

-- The history is written by the database itself, so that no statement can change a state without it.
CREATE FUNCTION record_sandbox_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO sandbox_events (sandbox_id, from_status, to_status, reason)
    VALUES (NEW.id, NULL, NEW.status, NEW.reason);
  ELSIF NEW.status <> OLD.status THEN
    INSERT INTO sandbox_events (sandbox_id, from_status, to_status, reason)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.reason);
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER sandbox_events_record AFTER INSERT OR UPDATE OF status ON sandboxes
  FOR EACH ROW EXECUTE FUNCTION record_sandbox_event();
