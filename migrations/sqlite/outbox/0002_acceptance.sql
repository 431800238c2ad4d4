-- When a row was accepted, as this device's clock saw it: the journal is kept from then on.
alter table outbox add column acked_at integer;
update outbox set acked_at = created_at where state = 'acked';

-- How often the server has said that what a row is about is not there.
alter table outbox add column not_found integer not null default 0;
