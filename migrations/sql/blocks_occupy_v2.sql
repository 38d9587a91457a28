-- What a change of blocks means for occupancies (occupancies_v2.sql). A change of the words alone means nothing: it
-- takes no lock and rewrites nothing, so that an erasure may take a name out of a reason after other rows.
CREATE OR REPLACE FUNCTION blocks_occupy() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_block record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (
            SELECT id, org_id, resource_id, starts_at, ends_at FROM old_blocks
            EXCEPT SELECT id, org_id, resource_id, starts_at, ends_at FROM new_blocks
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM lock_for_blocks(n.org_id, array_agg(n.resource_id)) FROM new_blocks n GROUP BY n.org_id;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM lock_for_blocks(o.org_id, array_agg(o.resource_id)) FROM old_blocks o GROUP BY o.org_id;
    ELSE
        PERFORM lock_for_blocks(b.org_id, array_agg(b.resource_id))
           FROM (SELECT org_id, resource_id FROM old_blocks UNION SELECT org_id, resource_id FROM new_blocks) b
          GROUP BY b.org_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM occupancies o
         USING old_blocks b
         WHERE o.org_id = b.org_id AND o.resource_id = b.resource_id AND o.seat = 0
           AND o.starts_at >= b.starts_at AND o.starts_at < b.ends_at AND o.block_id = b.id;
        FOR v_block IN SELECT b.* FROM old_blocks b LOOP
            PERFORM give_to_blocks(
                v_block.org_id, ARRAY[v_block.resource_id], v_block.starts_at, v_block.ends_at
            );
        END LOOP;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        FOR v_block IN SELECT b.* FROM new_blocks b ORDER BY b.created_at, b.id LOOP
            PERFORM occupy_for_block(
                v_block.org_id, v_block.resource_id, v_block.id, v_block.starts_at, v_block.ends_at
            );
        END LOOP;
    END IF;
    RETURN NULL;
END $$;
