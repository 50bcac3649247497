DROP TABLE snapshots;
UPDATE sandboxes SET on_timeout = 'pause' WHERE on_timeout = 'hibernate';
ALTER TABLE sandboxes DROP CONSTRAINT sandboxes_on_timeout_check;
ALTER TABLE sandboxes ADD CONSTRAINT sandboxes_on_timeout_check
  CHECK (on_timeout IN ('destroy', 'pause'));
