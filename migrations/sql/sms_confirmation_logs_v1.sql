-- What the quick reference asks of an SMS log, over the one table that holds every SMS.
CREATE VIEW sms_confirmation_logs WITH (security_invoker = true) AS
SELECT id, org_id, appointment_id, provider_id AS message_id, status, to_phone,
       delivered_at AS delivery_timestamp, segments, price AS cost, price_unit AS cost_unit,
       error_code, error_reason, sent_at, created_at
  FROM sms_messages WHERE kind = 'confirmation';

-- appointments.confirmation_sms_* say what its confirmation's row says, whoever changes that row.
CREATE FUNCTION tell_appointment_of_its_sms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE appointments SET
        confirmation_sms_sent = NEW.provider_id IS NOT NULL,
        confirmation_sms_id = NEW.provider_id,
        confirmation_sms_sent_at = NEW.sent_at
     WHERE id = NEW.appointment_id AND confirmation_message_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_appointment AFTER UPDATE ON sms_messages FOR EACH ROW
    WHEN (NEW.kind = 'confirmation'
          AND (OLD.provider_id, OLD.sent_at) IS DISTINCT FROM (NEW.provider_id, NEW.sent_at))
    EXECUTE FUNCTION tell_appointment_of_its_sms();
