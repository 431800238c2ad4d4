-- Finds the tombstones that are old enough to go; few sessions are tombstones.
create index agent_sessions_tombstones on agent_sessions (deleted_at) where deleted_at is not null;
