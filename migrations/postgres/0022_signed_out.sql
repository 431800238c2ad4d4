-- Finds the devices that were signed out just now, for nodes that no word of it reached. Built at once, as 0003 says.
create index sessions_signed_out on sessions (revoked_at) where revoked_at is not null;
