-- When a session was last compared with the server's, as this device's clock saw it; 0: never since a fresh start.
alter table sessions add column verified_at integer not null default 0;
