-- The one clock by which holds and codes expire. clock_timestamp() and not now(): the transaction's
-- own time is stale after a wait for a lock. Tests put a shifted clock in its place in their own
-- database; nothing in production can.
CREATE FUNCTION app_clock() RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT clock_timestamp() $$;
