-- The browser that let the app in: its code is worth nothing once that is signed out, as with the codes of programs without a
-- browser. Null where a server from before made it, within the last minute.
alter table oauth_codes add column authorized_by uuid;
