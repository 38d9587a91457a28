-- Whether this transaction may see every organisation. Where a second role is given
-- (SYSTEM_DATABASE_URL), migrations/env.py binds this to that role.
CREATE OR REPLACE FUNCTION in_system_scope() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(current_setting('app.scope', true) = 'system', false) $$;

-- What a function that is handed an organisation works in. It sets the organisation where none is
-- set, as by hand, and refuses to leave the one that is.
CREATE OR REPLACE FUNCTION enter_organization(p_org uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_current text := coalesce(current_setting('app.org_id', true), '');
BEGIN
    IF in_system_scope() THEN
        RETURN;
    ELSIF v_current = '' THEN
        PERFORM set_config('app.org_id', p_org::text, true);
    ELSIF v_current::uuid IS DISTINCT FROM p_org THEN
        RAISE EXCEPTION 'this transaction belongs to another organisation'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;
