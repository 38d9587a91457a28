-- Who or which call changed what: names of columns, never what stood in them.
CREATE OR REPLACE FUNCTION write_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    v_columns text[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(key ORDER BY key) INTO v_columns
          FROM jsonb_each(v_row) AS is_now JOIN jsonb_each(to_jsonb(OLD)) AS was USING (key)
         WHERE is_now.value IS DISTINCT FROM was.value AND key <> 'last_used_at';
        IF v_columns IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO audit_log (org_id, actor, action, table_name, row_id, columns)
    VALUES (
        (v_row ->> TG_ARGV[0])::uuid,
        coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user),
        lower(TG_OP), TG_TABLE_NAME, coalesce(v_row ->> 'id', v_row ->> 'org_id'),
        coalesce(v_columns, '{}')
    );
    RETURN NULL;
END $$;
