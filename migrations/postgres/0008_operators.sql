-- Whoever runs the server may act for a person; then their name stands beside what was done. Null: nobody did.
alter table audit_events add column operator text check (char_length(operator) between 1 and 100);
-- What was done, without what strangers tried: a person's own list stays short to read however much is tried.
create index audit_events_done on audit_events (user_id, at desc) where outcome = 'done';
-- Finds what is old enough to go.
create index audit_events_old on audit_events (outcome, at);
create index users_unproven on users (updated_at) where email_verified is null;
create index second_factors_begun on second_factors (created_at) where confirmed_at is null;
