-- Idle sandboxes may hibernate by themselves.
ALTER TABLE sandboxes DROP CONSTRAINT sandboxes_on_timeout_check;
ALTER TABLE sandboxes ADD CONSTRAINT sandboxes_on_timeout_check
  CHECK (on_timeout IN ('destroy', 'pause', 'hibernate'));

-- Snapshots that somebody asked for. Their files are on one host; the row comes first and goes last, so that no file
-- is without one. They outlive the sandbox that they were made of.
CREATE TABLE snapshots (
  id text PRIMARY KEY CHECK (id ~ '^snap-[0-9a-f]{16}$'),
  team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  sandbox_id text NOT NULL,
  host_id text NOT NULL REFERENCES hosts (id),
  name text,
  status text NOT NULL DEFAULT 'creating' CHECK (status IN ('creating', 'ready', 'deleting')),
  template text NOT NULL,
  vcpus integer NOT NULL CHECK (vcpus > 0),
  memory_mb integer NOT NULL CHECK (memory_mb > 0),
  disk_mb integer NOT NULL CHECK (disk_mb >= 0),
  generation bigint NOT NULL DEFAULT 0,
  digest text,
  bytes bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK (status <> 'ready' OR digest IS NOT NULL)
);

CREATE INDEX snapshots_team_created ON snapshots (team_id, created_at DESC, id DESC);
-- What the reconciler finishes.
CREATE INDEX snapshots_unfinished ON snapshots (host_id) WHERE status <> 'ready';
