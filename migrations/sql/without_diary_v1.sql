-- Takes the diary out of the tables that were there before it. Run while the diary's triggers still are.

DELETE FROM blocks;

-- What several calendars shared is the one room that their services need; else a calendar is its person's.
UPDATE calendars c
   SET resource_id = coalesce(
       (SELECT min(r.id) FROM service_resources s
          JOIN resources r ON r.org_id = s.org_id AND r.id = s.resource_id AND r.kind = 'room'
         WHERE s.org_id = c.org_id AND s.service_id = c.service_id HAVING count(*) = 1),
       c.resource_id,
       c.id
   );

-- An appointment takes one resource again, and no buffers: what the calendar has, if it took that, else its person.
UPDATE appointment_holds h
   SET resource_id = CASE WHEN c.resource_id = ANY (h.other_resources) THEN c.resource_id ELSE h.resource_id END,
       other_resources = '{}', minutes_before = 0, minutes_after = 0
  FROM calendars c
 WHERE c.org_id = h.org_id AND c.id = h.calendar_id
   AND (h.other_resources <> '{}' OR h.minutes_before > 0 OR h.minutes_after > 0);
UPDATE appointments a
   SET resource_id = CASE WHEN c.resource_id = ANY (a.other_resources) THEN c.resource_id ELSE a.resource_id END,
       other_resources = '{}', minutes_before = 0, minutes_after = 0
  FROM calendars c
 WHERE c.org_id = a.org_id AND c.id = a.calendar_id
   AND (a.other_resources <> '{}' OR a.minutes_before > 0 OR a.minutes_after > 0);

DROP TRIGGER occupy_update ON appointment_holds;
DROP TRIGGER occupy_update ON appointments;
DROP TRIGGER fill_in_who_booked ON appointments;

ALTER TABLE occupancies
    DROP CONSTRAINT fk_occupancies_org_id_resource_id,
    DROP CONSTRAINT ck_occupancies_one_owner,
    DROP block_id,
    ADD CONSTRAINT ck_occupancies_one_owner CHECK (num_nonnulls(hold_id, appointment_id) = 1);
ALTER TABLE appointment_holds
    DROP CONSTRAINT fk_appointment_holds_org_id_resource_id,
    DROP CONSTRAINT fk_appointment_holds_org_id_calendar_id,
    DROP service_id, -- a column goes with its constraints
    DROP other_resources,
    DROP minutes_before,
    DROP minutes_after;
ALTER TABLE appointments
    DROP CONSTRAINT fk_appointments_org_id_resource_id,
    DROP CONSTRAINT fk_appointments_org_id_calendar_id,
    DROP service_id,
    DROP other_resources,
    DROP minutes_before,
    DROP minutes_after,
    DROP booked_by,
    DROP booker;
ALTER TABLE calendars
    DROP CONSTRAINT fk_calendars_org_id_resource_id,
    DROP service_id,
    ALTER resource_id SET NOT NULL,
    ALTER hours DROP DEFAULT,
    ADD CONSTRAINT uq_calendars_org_id_id_resource_id UNIQUE (org_id, id, resource_id);

-- NOT VALID: what was booked with another person than the calendar's stays.
ALTER TABLE appointment_holds
    ADD CONSTRAINT fk_appointment_holds_org_id_calendar_id_resource_id
        FOREIGN KEY (org_id, calendar_id, resource_id) REFERENCES calendars (org_id, id, resource_id) NOT VALID;
ALTER TABLE appointments
    ADD CONSTRAINT fk_appointments_org_id_calendar_id_resource_id
        FOREIGN KEY (org_id, calendar_id, resource_id) REFERENCES calendars (org_id, id, resource_id) NOT VALID;

DROP TABLE blocks, hours_exceptions, resource_hours, service_resources, services, resources;
