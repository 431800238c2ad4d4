-- After a fresh proof, the cookie of before (its hash) and its number, until the new one was used for the first time: the answer
-- that carried it may be lost. Null: the device has one cookie.
alter table sessions
    add column former_token text,
    add column former_gen bigint;
-- Few devices have one, and for a moment. Built at once, as 0003 says.
create unique index sessions_former_token on sessions (former_token) where former_token is not null;
