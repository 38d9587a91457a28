-- What holds of the rows of the diary, once those of before have been moved into it. Each ALTER TABLE reads its table
-- once for all of its CHECKs, and once more for each foreign key.

ALTER TABLE calendars
    ADD CONSTRAINT fk_calendars_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id),
    ADD CONSTRAINT fk_calendars_org_id_service_id
        FOREIGN KEY (org_id, service_id) REFERENCES services (org_id, id);

ALTER TABLE appointment_holds
    ADD CONSTRAINT ck_appointment_holds_buffers CHECK (minutes_before >= 0 AND minutes_after >= 0),
    ADD CONSTRAINT fk_appointment_holds_org_id_calendar_id
        FOREIGN KEY (org_id, calendar_id) REFERENCES calendars (org_id, id),
    ADD CONSTRAINT fk_appointment_holds_org_id_service_id
        FOREIGN KEY (org_id, service_id) REFERENCES services (org_id, id),
    ADD CONSTRAINT fk_appointment_holds_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id);

ALTER TABLE appointments
    ADD CONSTRAINT ck_appointments_buffers CHECK (minutes_before >= 0 AND minutes_after >= 0),
    ADD CONSTRAINT ck_appointments_booked_by CHECK (booked_by IN ('phone', 'link', 'desk')),
    ADD CONSTRAINT ck_appointments_phone_has_its_hold CHECK (booked_by <> 'phone' OR hold_id IS NOT NULL),
    ADD CONSTRAINT ck_appointments_desk_has_a_name CHECK (booked_by <> 'desk' OR booker IS NOT NULL),
    ADD CONSTRAINT fk_appointments_org_id_calendar_id
        FOREIGN KEY (org_id, calendar_id) REFERENCES calendars (org_id, id),
    ADD CONSTRAINT fk_appointments_org_id_service_id
        FOREIGN KEY (org_id, service_id) REFERENCES services (org_id, id),
    ADD CONSTRAINT fk_appointments_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id);

ALTER TABLE occupancies
    DROP CONSTRAINT ck_occupancies_one_owner,
    ADD CONSTRAINT ck_occupancies_one_owner CHECK (num_nonnulls(hold_id, appointment_id, block_id) = 1),
    ADD CONSTRAINT fk_occupancies_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id);
