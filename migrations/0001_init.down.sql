DROP TABLE sandbox_events;
DROP TABLE sandboxes;
DROP FUNCTION record_sandbox_event();
DROP TABLE hosts;
DROP TABLE api_keys;
DROP TABLE teams;
