-- The keys of the advisory locks that transactions keep until they end: one function for each lock, which
-- SQL functions and models/ call alike. That of a calendar's resource is resource_lock_key
-- (claim_slot_atomic_v1.sql).
--
-- A transaction that needs several takes them in this order: the call; the codes of a call, then those of a
-- number; the number; the resources, sorted; then rows; last the clinic's unproved holds.

-- A telephone call: its tool calls are answered one after the other.
CREATE FUNCTION call_lock_key(p_org uuid, p_call text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('call/' || p_org::text || '/' || p_call, 0) $$;

-- The codes that one call asks for.
CREATE FUNCTION codes_of_call_lock_key(p_org uuid, p_call text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('codes-call/' || p_org::text || '/' || p_call, 0) $$;

-- The codes that are texted to one number or said for it.
CREATE FUNCTION codes_of_phone_lock_key(p_org uuid, p_phone text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('codes/' || p_org::text || '/' || p_phone, 0) $$;

-- What is held for one number.
CREATE FUNCTION phone_lock_key(p_org uuid, p_phone text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('phone/' || p_org::text || '/' || p_phone, 0) $$;

-- A clinic's holds that nobody has proved.
CREATE FUNCTION unproved_holds_lock_key(p_org uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('holds/' || p_org::text, 0) $$;

-- The message to which one of the provider's ids belongs.
CREATE FUNCTION provider_id_lock_key(p_org uuid, p_provider_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('sms/' || p_org::text || '/' || p_provider_id, 0) $$;
