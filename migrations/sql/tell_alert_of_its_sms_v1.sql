-- hot_lead_alerts.alert_sent_at says when the provider accepted its SMS, whoever recorded that.
CREATE OR REPLACE FUNCTION tell_alert_of_its_sms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hot_lead_alerts SET alert_sent_at = NEW.sent_at WHERE message_id = NEW.id AND org_id = NEW.org_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_alert AFTER UPDATE ON sms_messages FOR EACH ROW
    WHEN (NEW.kind = 'hot_lead_alert' AND OLD.sent_at IS DISTINCT FROM NEW.sent_at)
    EXECUTE FUNCTION tell_alert_of_its_sms();
